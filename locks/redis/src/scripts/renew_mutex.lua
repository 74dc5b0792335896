-- Gives a held mutex a new lease (R9). KEYS: row. ARGV: version, new version, lease in milliseconds, flags (p data is
-- given), data.
local now = clock()
local version, fence, ends, holder, data, deletes = unpack(redis.call('HMGET', row, 'v', 'f', 'e', 'o', 'd', 'x'))
local current = version == ARGV[1] or version == ARGV[2]
if not current or tonumber(ends or 0) <= now then
  return {-1}
end
local lease_ms = tonumber(ARGV[3])
local until_us = now + lease_ms * 1000
stubborn('HSET', row, 'v', ARGV[2], 'e', int(until_us), 'l', ARGV[3])
if ARGV[4] == 'p' then
  data = ARGV[5]
  redis.call('HSET', row, 'd', data)
end
return {1, now, 0, ARGV[2], tonumber(fence), lease_ms, until_us, tonumber(deletes or 0), holder, data or nil}
