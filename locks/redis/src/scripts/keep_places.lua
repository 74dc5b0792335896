-- Keeps the places of a client's waiters (R5). KEYS: queue and waiters of one lock, or (on a single server) of many. ARGV: client, then
-- for each lock how many tickets, and the tickets. Returns the tickets that have no place.
local now, lost, place = clock(), {}, 2
local deadline = int(now + WAITER_TTL_MS * 1000) .. ' ' .. ARGV[1]
for i = 1, #KEYS, 2 do
  local queue, waiters, last = KEYS[i], KEYS[i + 1], place + tonumber(ARGV[place])
  for at = place + 1, last do
    local ticket = ARGV[at]
    local until_us = string.match(redis.call('HGET', waiters, 't' .. ticket) or '', '^%d+')
    if until_us and tonumber(until_us) > now then
      redis.call('HSET', waiters, 't' .. ticket, deadline)
    else
      lost[#lost + 1] = ticket
    end
  end
  redis.call('PEXPIRE', queue, 2 * WAITER_TTL_MS)
  redis.call('PEXPIRE', waiters, 3 * WAITER_TTL_MS)
  place = last + 1
end
return lost
