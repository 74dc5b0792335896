-- Rings for the first `free` live waiters. Needs queue.lua.
local function ring(free)
  if free < 1 then
    return
  end
  local rung = 0
  walk(function(ticket, client, alive_until)
    if alive_until > now then
      -- Clients that do not listen (p) poll. Publishing may be forbidden to this user: then all poll.
      if string.sub(client, 1, 1) == 'b' then
        redis.pcall('PUBLISH', BELL .. client, ticket)
      end
      rung = rung + 1
    end
    return rung >= free
  end)
end
