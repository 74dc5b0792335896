-- Takes a mutex, or a place in its queue (R1 to R8). KEYS: row, queue, waiters.
-- ARGV: ticket, owner, lease in milliseconds, flags, client, data. Flags: f fair, w wait, r reentrant, o only if it exists,
-- d delete on release, p data is given, s and replaces what is there.
local ticket, owner, flags = ARGV[1], ARGV[2], ARGV[4]
local now = clock()
local version, fence, ends, holder, data, deletes, queued =
  unpack(redis.call('HMGET', row, 'v', 'f', 'e', 'o', 'd', 'x', 'q'))
ends = tonumber(ends or 0)
local held = ends > now

local function asked(flag)
  return string.find(flags, flag, 1, true)
end

-- Writes the lease under this version and token, and answers with the row.
local function lease(under, token, delete)
  local lease_ms = tonumber(ARGV[3])
  local until_us = now + lease_ms * 1000
  redis.call('HSET', row, 'v', under, 'f', int(token), 'e', int(until_us), 'l', ARGV[3], 'o', owner, 'x', delete)
  if asked('p') and (asked('s') or not data) then
    data = ARGV[6]
    redis.call('HSET', row, 'd', data)
  end
  return {1, now, 0, under, token, lease_ms, until_us, tonumber(delete), owner, data or nil}
end

-- A new grant, with a new token.
local function grant()
  local reply = lease(ticket, math.max((fence or 0) + 1, now), asked('d') and '1' or '0')
  if not version then
    redis.call('PERSIST', row) -- it may have been a tombstone
  end
  return reply
end

if held and version == ticket then
  return lease(ticket, tonumber(fence), deletes or '0') -- R2
end
if not version and asked('o') then
  return {-1}
end
if not held and not queued then
  return grant()
end
