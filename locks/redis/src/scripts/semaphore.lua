-- The keys of a semaphore; a script gets as many of them as it needs.
local row, slots, queue, waiters = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

-- The slots of a semaphore. In `slots` each slot that was ever used has a score: its own number while it is free, so that
-- the lowest-numbered free one comes first (R7); the end of its lease, which is above FREE, while it is held. Slots that were never
-- used come after those. The row has, for each used slot: s<slot> its record, d<slot> its data, v:<version> its number.
local FREE = 1000000
local HELD = '(1000000'

-- A record is "<fence> <lease in ms> <flags> <version>\n<owner>"; versions hold no line breaks.
local function pack_record(fence, lease_ms, flags, version, owner)
  return int(fence) .. ' ' .. int(lease_ms) .. ' ' .. flags .. ' ' .. version .. '\n' .. owner
end

local function unpack_record(record)
  local fence, lease_ms, flags, version, owner = string.match(record, '^(%d+) (%d+) (%d) ([^\n]*)\n(.*)$')
  return tonumber(fence), tonumber(lease_ms), tonumber(flags), version, owner
end

-- How many slots are held now.
local function count_held(now)
  return redis.call('ZCOUNT', slots, '(' .. int(now), '+inf')
end
