-- Gives a mutex back (R10). KEYS: row, queue, waiters.
-- ARGV: version, flags, data. Flags: d delete it, p data is given.
local flags = ARGV[2]
local version, deletes, queued = unpack(redis.call('HMGET', row, 'v', 'x', 'q'))
if not version then
  return -1
end
if version ~= ARGV[1] then
  return 0
end
if deletes == '1' or string.find(flags, 'd', 1, true) then
  bury()
else
  redis.call('HDEL', row, 'e')
  if string.find(flags, 'p', 1, true) then
    redis.call('HSET', row, 'd', ARGV[3])
  end
end
if not queued then
  return 1
end
local now = clock()
