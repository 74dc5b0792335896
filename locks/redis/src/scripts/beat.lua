-- Shows that a client lives and waits (R6). KEYS: waiters of one lock, or (on a single server) of many. ARGV: client.
local alive_until = int(clock() + CLIENT_TTL_MS * 1000)
for _, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then
    redis.call('HSET', key, 'c' .. ARGV[1], alive_until)
  end
end
return 1
