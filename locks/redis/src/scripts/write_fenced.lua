-- Writes to a register unless a greater token has; answers with the token that is there afterwards.
-- KEYS: register. ARGV: token, value. Tokens are compared as digits, since Lua's numbers are not exact beyond 2^53.
local seen = redis.call('HGET', KEYS[1], 't')
if seen and (#seen > #ARGV[1] or (#seen == #ARGV[1] and seen > ARGV[1])) then
  return seen
end
redis.call('HSET', KEYS[1], 't', ARGV[1], 'v', ARGV[2])
return ARGV[1]
