"""What the store does at once or not at all: the scripts of one daemon's own keys, in Lua."""

from __future__ import annotations

from typing import Final

CLAIM: Final = """
local present = redis.call('GET', KEYS[1]) or ''
local mine = string.sub(present, 1, #ARGV[1]) == ARGV[1]
if present ~= '' and present ~= ARGV[3] and not mine then return present end
redis.call('SET', KEYS[1], ARGV[2])
return ''
"""
"""Keys: the owner's. Arguments: start, new value, value that may be replaced. Gives another's."""

GUARD: Final = """
local start, owner = table.remove(ARGV), table.remove(KEYS)
if string.sub(redis.call('GET', owner) or '', 1, #start) ~= start then
  return redis.error_reply('TAKEN the keys are of another daemon')
end
"""
"""Goes before a script whose last key is the owner's and whose last argument is the start."""

RELEASE: Final = """
if string.sub(redis.call('GET', KEYS[1]) or '', 1, #ARGV[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 1
"""

SET: Final = "return redis.call('SET', KEYS[1], ARGV[1])"

DELETE: Final = "return redis.call('DEL', KEYS[1])"

REPLACE: Final = """
redis.call('DEL', KEYS[1])
for i = 1, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
return 1
"""
"""A hash, by the fields and values in the arguments; without any it is removed."""
