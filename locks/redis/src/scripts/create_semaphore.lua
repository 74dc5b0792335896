-- Creates a semaphore, or gives one another size, lease and version: {1}; {0, slot} when that slot is held and would go.
-- KEYS: row, slots, queue, waiters. ARGV: version, size, lease in milliseconds, named by version (1, 0; empty: as it is).
local now = clock()
local size = tonumber(ARGV[2])
local version, named, queued = unpack(redis.call('HMGET', row, 'v', 'n', 'q'))
local gone = {}
local used = redis.call('ZRANGE', slots, 0, -1, 'WITHSCORES')
for i = 1, #used, 2 do
  if tonumber(used[i]) >= size then
    if tonumber(used[i + 1]) > now then
      return {0, tonumber(used[i])}
    end
    gone[#gone + 1] = used[i]
  end
end
named = ARGV[4] ~= '' and ARGV[4] or named or '0'
redis.call('HSET', row, 'v', ARGV[1], 'm', ARGV[2], 'l', ARGV[3], 'n', named)
if not version then
  redis.call('PERSIST', row) -- it may have been a tombstone
end
for _, slot in ipairs(gone) do
  local record = redis.call('HGET', row, 's' .. slot)
  if record then
    local _, _, _, under = unpack_record(record)
    redis.call('HDEL', row, 'v:' .. under)
  end
  redis.call('ZREM', slots, slot)
  redis.call('HDEL', row, 's' .. slot, 'd' .. slot)
end
if not queued then
  return {1}
end
