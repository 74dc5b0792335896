-- Goes on where acquire_mutex.lua ends: the mutex is held, or somebody may be waiting for it.
local holder = held and redis.call('HGET', row, 'o')
local free, live, soonest, reply = held and 0 or 1, 0, nil, nil
if asked('r') and holder == owner then
  reply = go_on() -- R3
elseif asked('f') then
  if queued then
    live, soonest = ahead(ticket)
  end
  reply = live < free and grant() -- R4
else
  reply = free > 0 and grant()
end
if reply then
  if queued then
    leave(ticket)
  end
  return reply
end
local number = 0
if asked('f') and asked('w') then
  number = enter(ticket, ARGV[5])
  if not number then
    return {-2}
  end
end
return busy(live, number, held and ends or soonest, holder)
