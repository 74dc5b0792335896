-- The keys of a mutex; a script gets as many of them as it needs.
local row, queue, waiters = KEYS[1], KEYS[2], KEYS[3]

-- Deletes a mutex, but for its fence, which stays as a tombstone (R11), and for the word that somebody waits.
local function bury()
  redis.call('HDEL', row, 'v', 'l', 'e', 'o', 'd', 'x')
  redis.call('PEXPIRE', row, TOMBSTONE_TTL_MS)
end
