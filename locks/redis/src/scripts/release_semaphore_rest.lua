-- Goes on where release_semaphore.lua ends: somebody may be waiting.
ring(tonumber(size) - count_held(now))
return 1
