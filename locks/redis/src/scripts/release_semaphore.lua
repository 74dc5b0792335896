-- Gives a slot back (R10). KEYS: row, slots, queue, waiters.
-- ARGV: version, flags, data, slot (empty: any). Flags: d empty it, p data is given.
local flags = ARGV[2]
local version, slot, size, queued, record =
  unpack(redis.call('HMGET', row, 'v', 'v:' .. ARGV[1], 'm', 'q', 's' .. ARGV[4]))
if not version then
  return -1
end
if not slot then
  return 0
end
if ARGV[4] ~= '' and ARGV[4] ~= slot then
  return -1
end
local _, _, marks = unpack_record(record or redis.call('HGET', row, 's' .. slot))
stubborn('ZADD', slots, slot, slot)
if marks % 2 == 1 or string.find(flags, 'd', 1, true) then
  redis.call('HDEL', row, 'd' .. slot)
elseif string.find(flags, 'p', 1, true) then
  redis.call('HSET', row, 'd' .. slot, ARGV[3])
end
if not queued then
  return 1
end
local now = clock()
