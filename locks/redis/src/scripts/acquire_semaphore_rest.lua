-- Goes on where acquire_semaphore.lua ends: all slots are held, somebody may be waiting, or the owner may hold one.

-- The first slot that this owner holds (R3).
local function own_slot()
  local held = redis.call('ZRANGEBYSCORE', slots, HELD, '+inf')
  for first = 1, #held, 100 do
    local fields = {}
    for i = first, math.min(first + 99, #held) do
      fields[#fields + 1] = 's' .. held[i]
    end
    for i, record in ipairs(redis.call('HMGET', row, unpack(fields))) do
      local _, _, _, _, holder = unpack_record(record)
      if holder == owner then
        return held[first + i - 1]
      end
    end
  end
end

local free = tonumber(size or ARGV[7]) - redis.call('ZCOUNT', slots, HELD, '+inf')
local live, soonest, reply = 0, nil, nil
local own = asked('r') and own_slot()
if own then
  reply = lease(own, true)
elseif asked('f') then
  if queued then
    live, soonest = ahead(ticket, free)
  end
  reply = live < free and grant(lowest_free()) -- R4
else
  reply = free > 0 and grant(lowest_free())
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
local first = redis.call('ZRANGEBYSCORE', slots, HELD, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
local holder
if first[1] then
  local _, _, _, _, who = unpack_record(redis.call('HGET', row, 's' .. first[1]))
  holder = who
  soonest = math.min(soonest or tonumber(first[2]), tonumber(first[2]))
end
return busy(live, number, soonest, holder)
