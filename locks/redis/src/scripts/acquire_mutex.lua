-- Takes a mutex, or a place in its queue (R1 to R8). KEYS: row, queue, waiters.
-- ARGV: ticket, owner, lease in milliseconds, flags, client, data. Flags: f fair, w wait, r reentrant, o only if it exists,
-- d delete on release, p data is given, s and replaces what is there.
local ticket, owner, flags = ARGV[1], ARGV[2], ARGV[4]
local now = clock()
local version, fence, ends, data, queued = unpack(redis.call('HMGET', row, 'v', 'f', 'e', 'd', 'q'))
ends = tonumber(ends or 0)
local held = ends > now

local function asked(flag)
  return string.find(flags, flag, 1, true)
end

-- Writes the lease under this version and token; returns when it ends.
local function lease(under, token, delete)
  local until_us = now + tonumber(ARGV[3]) * 1000
  redis.call('HSET', row, 'v', under, 'f', int(token), 'e', int(until_us), 'l', ARGV[3], 'o', owner, 'x', delete)
  if asked('p') and (asked('s') or not data) then
    data = ARGV[6]
    redis.call('HSET', row, 'd', data)
  end
  return until_us
end

-- A new grant, with a new token. The rest of the row is what was asked for.
local function grant()
  local token = math.max((fence or 0) + 1, now)
  lease(ticket, token, asked('d') and '1' or '0')
  if not version then
    redis.call('PERSIST', row) -- it may have been a tombstone
  end
  return {2, now, 0, token, data or nil}
end

-- The grant that there is goes on.
local function go_on()
  local delete = redis.call('HGET', row, 'x') or '0'
  local until_us = lease(version, tonumber(fence), delete)
  return {1, now, 0, version, tonumber(fence), tonumber(ARGV[3]), until_us, tonumber(delete), owner, data or nil}
end

if held and version == ticket then
  return go_on() -- R2
end
if not version and asked('o') then
  return {-1}
end
if not held and not queued then
  return grant()
end
