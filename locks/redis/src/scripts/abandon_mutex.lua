-- Ends an acquisition whose caller went away: its grant, if it has one, and its place in the queue.
-- KEYS: row, queue, waiters. ARGV: ticket.
local version, ends, deletes, queued = unpack(redis.call('HMGET', row, 'v', 'e', 'x', 'q'))
if version == ARGV[1] and ends then
  ends = nil
  if deletes == '1' then
    bury()
  else
    redis.call('HDEL', row, 'e')
  end
end
if not queued then
  return 1
end
local now = clock()
