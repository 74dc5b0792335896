-- Goes around the script of one operation, to run it for many locks in one step. `one` sees the keys and arguments of one of
-- them under the usual names.
local function one(KEYS, ARGV)
