-- Reads a semaphore: {1, version, size, lease in milliseconds, named by version, held}. KEYS: row, slots.
local version, size, lease_ms, named = unpack(redis.call('HMGET', row, 'v', 'm', 'l', 'n'))
if not version then
  return {-1}
end
return {1, version, tonumber(size), tonumber(lease_ms), tonumber(named or 0), count_held(clock())}
