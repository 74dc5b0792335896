-- A write that must not fail because the server is at its memory limit: a renewal keeps what is there, a release gives
-- back. Redis refuses only the first write of a script, so one that needs no memory is put before it.
local function stubborn(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    redis.call('PERSIST', row)
    reply = redis.call(...)
  end
  return reply
end
