-- Begins every script.

-- The server's clock, the only one that counts, in microseconds since 1970. Lua's numbers hold it exactly until 2255. Looked at once:
-- a script is one moment.
local instant
local function look_at_clock()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
local function clock()
  instant = instant or look_at_clock()
  return instant
end

-- A number as it is stored: all digits, no exponent. (`..` and tostring() would keep 14 digits.)
local function int(number)
  return string.format('%.0f', number)
end
