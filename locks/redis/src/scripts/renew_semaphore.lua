-- Gives a held slot a new lease (R9). KEYS: row, slots.
-- ARGV: version, new version, lease in milliseconds, flags (p data is given), data, slot (empty: any).
local now = clock()
local old, new, record, data =
  unpack(redis.call('HMGET', row, 'v:' .. ARGV[1], 'v:' .. ARGV[2], 's' .. ARGV[6], 'd' .. ARGV[6]))
local slot = old or new
-- A handle of another slot is stale, and a version has one slot.
if not slot or (ARGV[6] ~= '' and ARGV[6] ~= slot) or (old and new and old ~= new) then
  return {-1}
end
if tonumber(redis.call('ZSCORE', slots, slot) or 0) <= now then
  return {-1}
end
if ARGV[6] == '' then
  record, data = unpack(redis.call('HMGET', row, 's' .. slot, 'd' .. slot))
end
local fence, _, flags, _, owner = unpack_record(record)
local lease_ms = tonumber(ARGV[3])
local until_us = now + lease_ms * 1000
stubborn('HSET', row, 's' .. slot, pack_record(fence, lease_ms, flags, ARGV[2], owner), 'v:' .. ARGV[2], slot)
if ARGV[1] ~= ARGV[2] then
  redis.call('HDEL', row, 'v:' .. ARGV[1])
end
redis.call('ZADD', slots, int(until_us), slot)
if ARGV[4] == 'p' then
  data = ARGV[5]
  redis.call('HSET', row, 'd' .. slot, data)
end
return {1, now, tonumber(slot), ARGV[2], fence, lease_ms, until_us, flags, owner, data or nil}
