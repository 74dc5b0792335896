-- Takes a slot of a semaphore, or a place in its queue (R1 to R8). KEYS: row, slots, queue, waiters.
-- ARGV: ticket, owner, lease in milliseconds, flags, client, data, size (empty: do not create).
-- Flags: f fair, w wait, r reentrant, o only if it exists, d empty it at release, p data is given, s and replaces what is
-- there, n named by version.
local ticket, owner, flags = ARGV[1], ARGV[2], ARGV[4]
local now = clock()
local version, size, fence, queued, mine = unpack(redis.call('HMGET', row, 'v', 'm', 'f', 'q', 'v:' .. ticket))

local function asked(flag)
  return string.find(flags, flag, 1, true)
end

if not version and (asked('o') or ARGV[7] == '') then
  return {-1}
end
-- Slots whose lease is over become free ones.
for _, slot in ipairs(redis.call('ZRANGEBYSCORE', slots, HELD, int(now))) do
  redis.call('ZADD', slots, slot, slot)
end

-- Writes a lease on a slot and answers with its row. `renewed`: the grant that it has goes on (R2, R3).
local function lease(slot, renewed)
  local record, data = unpack(redis.call('HMGET', row, 's' .. slot, 'd' .. slot))
  local lease_ms = tonumber(ARGV[3])
  local until_us = now + lease_ms * 1000
  local token, _, marks, under
  if record then
    token, _, marks, under = unpack_record(record)
  end
  if not renewed then
    if under and under ~= ticket then
      redis.call('HDEL', row, 'v:' .. under)
    end
    token, under = math.max((fence or 0) + 1, now), ticket
    marks = (asked('d') and 1 or 0) + (asked('n') and 2 or 0)
  end
  redis.call('HSET', row, 's' .. slot, pack_record(token, lease_ms, marks, under, owner), 'v:' .. under, slot,
    'f', int(math.max(fence or 0, token)))
  redis.call('ZADD', slots, int(until_us), slot)
  if asked('p') and (asked('s') or not data) then
    data = ARGV[6]
    redis.call('HSET', row, 'd' .. slot, data)
  end
  if renewed then
    return {1, now, tonumber(slot), under, token, lease_ms, until_us, marks, owner, data or nil}
  end
  return {2, now, tonumber(slot), token, data or nil} -- the rest of the row is what was asked for
end

-- The version of a semaphore that this ticket creates: a UUID made from the ticket's name.
local function first_version()
  local hex = redis.sha1hex('semaphore of ' .. ticket)
  local a, b, c, d, e = string.match(hex, '^(........)(....).(...).(...)(............)')
  return a .. '-' .. b .. '-5' .. c .. '-8' .. d .. '-' .. e
end

-- The lowest-numbered free slot (R7); none if all are held.
local function lowest_free()
  local first = redis.call('ZRANGE', slots, 0, 0, 'WITHSCORES')
  if first[2] and tonumber(first[2]) < FREE then
    return first[1]
  end
  local used = redis.call('ZCARD', slots)
  return used < tonumber(size or ARGV[7]) and tostring(used) or nil
end

-- A new grant of this slot, with a new token.
local function grant(slot)
  if not version then
    redis.call('HSET', row, 'v', first_version(), 'm', ARGV[7], 'l', ARGV[3], 'n', asked('n') and '1' or '0')
    redis.call('PERSIST', row) -- it may have been a tombstone
  end
  if mine and mine ~= slot then
    redis.call('HDEL', row, 's' .. mine) -- a version has one slot
  end
  return lease(slot, false)
end

if mine and tonumber(redis.call('ZSCORE', slots, mine) or 0) > FREE then
  return lease(mine, true) -- R2
end
if not queued and not asked('r') then
  local slot = lowest_free()
  if slot then
    return grant(slot)
  end
end
