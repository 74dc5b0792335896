-- Ends an acquisition whose caller went away: its grant, if it has one, and its place in the queue.
-- KEYS: row, slots, queue, waiters. ARGV: ticket.
local slot, size, queued = unpack(redis.call('HMGET', row, 'v:' .. ARGV[1], 'm', 'q'))
if slot then
  local _, _, marks = unpack_record(redis.call('HGET', row, 's' .. slot))
  stubborn('ZADD', slots, slot, slot)
  if marks % 2 == 1 then
    redis.call('HDEL', row, 'd' .. slot)
  end
end
if not queued then
  return 1
end
local now = clock()
