-- Deletes a semaphore at this version, but for its fence (R11): 1; 0 while a slot is held; -1 if it is absent or of another
-- version. KEYS: row, slots. ARGV: version.
local version, fence, queued = unpack(redis.call('HMGET', row, 'v', 'f', 'q'))
if version ~= ARGV[1] then
  return -1
end
if count_held(clock()) > 0 then
  return 0
end
redis.call('DEL', row, slots)
if fence then
  redis.call('HSET', row, 'f', fence)
end
if queued then
  redis.call('HSET', row, 'q', queued)
end
redis.call('PEXPIRE', row, TOMBSTONE_TTL_MS)
return 1
