-- The queue of a lock. Needs: now, and queued (whether the row says that somebody may be waiting).

-- Takes tickets out, in slices that fit on Lua's stack.
local function forget(tickets)
  for first = 1, #tickets, 100 do
    local members, fields = {}, {}
    for i = first, math.min(first + 99, #tickets) do
      members[#members + 1] = tickets[i]
      fields[#fields + 1] = 't' .. tickets[i]
    end
    redis.call('ZREM', queue, unpack(members))
    redis.call('HDEL', waiters, unpack(fields))
  end
end

-- Calls visit(ticket, client, alive_until) for one waiter after the other, from the head on, until it returns true.
-- A waiter is live if alive_until > now (R6). Those whose deadline has passed are taken out (R5).
local function walk(visit)
  local start, size, clients, gone, done = 0, 8, {}, {}, false
  repeat
    local tickets = redis.call('ZRANGE', queue, start, start + size - 1)
    local fields = {}
    for i, ticket in ipairs(tickets) do
      fields[i] = 't' .. ticket
    end
    local entries = #fields > 0 and redis.call('HMGET', waiters, unpack(fields)) or {}
    for i, ticket in ipairs(tickets) do
      local deadline, client = string.match(entries[i] or '0 ', '^(%d+) (.*)$')
      deadline = tonumber(deadline)
      if deadline <= now then
        gone[#gone + 1] = ticket
      else
        clients[client] = clients[client] or tonumber(redis.call('HGET', waiters, 'c' .. client) or 0)
        if visit(ticket, client, math.min(deadline, clients[client])) then
          done = true
          break
        end
      end
    end
    start, size = start + #tickets, math.min(size * 4, 128)
  until done or #tickets == 0
  forget(gone)
end

-- How many live waiters stand before `mine` (before a newcomer: all), counted up to `limit` or MAX_POSITION, and when the
-- first of them stops being live.
local function ahead(mine, limit)
  local live, soonest = 0, nil
  limit = math.max(limit or 0, MAX_POSITION)
  walk(function(ticket, _, alive_until)
    if ticket == mine then
      return true
    end
    if alive_until > now then
      live = live + 1
      soonest = math.min(soonest or alive_until, alive_until)
    end
    return live >= limit
  end)
  return live, soonest
end

-- Takes out all waiters whose deadline has passed and all clients that are not live: rarely needed, since walk() does
-- what matters. Looking again before the first of the remaining deadlines would be in vain.
local function tidy()
  local fields, gone, dead, soonest = redis.call('HGETALL', waiters), {}, {}, now + WAITER_TTL_MS * 1000
  for i = 1, #fields, 2 do
    local name, value = fields[i], fields[i + 1]
    local kind = string.sub(name, 1, 1)
    local deadline = tonumber(string.match(value, '^%d+'))
    if kind == 't' and deadline <= now then
      gone[#gone + 1] = string.sub(name, 2)
    elseif kind == 't' then
      soonest = math.min(soonest, deadline)
    elseif kind == 'c' and deadline <= now then
      dead[#dead + 1] = name
    end
  end
  forget(gone)
  for _, name in ipairs(dead) do
    redis.call('HDEL', waiters, name)
  end
  redis.call('HSET', waiters, 'n', int(soonest))
end

-- Whether one more may enter.
local function room()
  local size = redis.call('ZCARD', queue)
  local strays = redis.call('HLEN', waiters) - 2 * size
  if strays > 64 or (size >= MAX_WAITERS and tonumber(redis.call('HGET', waiters, 'n') or 0) <= now) then
    tidy()
    size = redis.call('ZCARD', queue)
  end
  return size < MAX_WAITERS
end

-- Enters the queue, or keeps the place in it and shows life. Returns the number in the queue; none if it is full.
local function enter(ticket, client)
  local number = redis.call('ZSCORE', queue, ticket)
  if not number then
    if not room() then
      return nil
    end
    number = redis.call('HINCRBY', waiters, 's', 1)
    redis.call('ZADD', queue, number, ticket)
  end
  local deadline = int(now + WAITER_TTL_MS * 1000)
  redis.call('HSET', waiters, 't' .. ticket, deadline .. ' ' .. client, 'c' .. client, int(now + CLIENT_TTL_MS * 1000))
  -- A queue that nobody asks for vanishes by itself; the numbers and deadlines outlive the tickets that they are about.
  redis.call('PEXPIRE', queue, 2 * WAITER_TTL_MS)
  redis.call('PEXPIRE', waiters, 3 * WAITER_TTL_MS)
  if not queued then
    redis.call('HSET', row, 'q', '1')
  end
  return tonumber(number)
end

-- Leaves the queue; the last one takes down the word that somebody waits.
local function leave(ticket)
  redis.call('ZREM', queue, ticket)
  redis.call('HDEL', waiters, 't' .. ticket)
  if redis.call('EXISTS', queue) == 0 then
    redis.call('DEL', waiters)
    redis.call('HDEL', row, 'q')
  end
end

-- The answer "others hold it": live waiters ahead, number in the queue (0: not in it), in how many milliseconds the answer
-- can change by itself, holder.
local function busy(live, number, changes_at, holder)
  local after_ms = changes_at and math.max(1, math.ceil((changes_at - now) / 1000)) or -1
  return {0, math.min(live, MAX_POSITION), number, after_ms, holder or nil}
end
