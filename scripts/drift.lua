#!/usr/bin/env -S nacre script run
-- Finds containers whose writable layer changed what it should not. Exit code 1 where one did.
--
--   nacre script run drift.lua --allow '/var/log/**' --allow '/tmp/**' --allow '/run/**'
--   nacre script run drift.lua --rules rules.txt web db          (with nacre script run --allow fs=.)
--
-- In a glob `*` and `?` stand for anything within a name, and `**` for anything at all: `/var/log/**` allows the directory
-- and all below it. A directory that changed only because something allowed in it did is no drift. A container's own rules
-- can be in its label nacre.drift.allow, separated by spaces.

local options = require("lib.options")
local tell = require("lib.tell")

local usage = [[
usage: nacre script run drift.lua [OPTIONS] [CONTAINER…]
  --allow GLOB    what may change (can be repeated)
  --rules FILE    a file of globs, one a line; lines that begin with # say nothing
  --running       only containers that run
  --json          one JSON object a line for each change that is not allowed
Without names all containers are looked at.]]

local wanted = options.read(arg, usage, { allow = "list", rules = "text", running = "flag", json = "flag" })
if not wanted then return 0 end

-- A glob as a pattern of Lua.
local function pattern(glob)
  local text = glob:gsub("/%*%*$", "\1"):gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0")
  text = text:gsub("%*%*", "\2"):gsub("%*", "[^/]*"):gsub("%?", "[^/]"):gsub("\2", ".*")
  local below = text:match("^(.*)\1$")
  -- The directory itself, and what is below it.
  if below then return { "^" .. below .. "$", "^" .. below .. "/" } end
  return { "^" .. text .. "$" }
end

local function add(patterns, glob)
  for _, one in ipairs(pattern(glob)) do table.insert(patterns, one) end
end

local function is_allowed(path, patterns)
  for _, one in ipairs(patterns) do
    if path:find(one) then return true end
  end
  return false
end

local common = {}
for _, glob in ipairs(wanted.allow or {}) do add(common, glob) end
for line in (wanted.rules and nacre.fs.read(wanted.rules) or ""):gmatch("[^\n]+") do
  local glob = line:match("^%s*([^#%s].-)%s*$")
  if glob then add(common, glob) end
end

-- The changes of a container that are not allowed. They come sorted by path: a directory before what is in it.
local function drift(c)
  local patterns, changes, found = table.move(common, 1, #common, 1, {}), {}, {}
  for glob in (c.labels["nacre.drift.allow"] or ""):gmatch("%S+") do add(patterns, glob) end
  for path, kind in c:diff() do table.insert(changes, { path = path, kind = kind }) end
  for i, change in ipairs(changes) do
    local follows = changes[i + 1]
    local leads = follows and follows.path:sub(1, #change.path + 1) == change.path .. "/"
    -- What is in it is judged by itself.
    local only_leads = change.kind == "C" and leads
    if not only_leads and not is_allowed(change.path, patterns) then table.insert(found, change) end
  end
  return found
end

local containers = {}
for i = 1, #wanted do
  local c = nacre.container.get(wanted[i]) or error({ exit_code = 3, message = "no such container: " .. wanted[i] }, 0)
  table.insert(containers, c)
end
if #wanted == 0 then
  for _, c in ipairs(nacre.container.list({ running = wanted.running })) do
    table.insert(containers, nacre.container.get(c.id))
  end
end

local drifted, rows = 0, {}
for _, c in ipairs(containers) do
  local found = drift(c)
  drifted = drifted + (#found > 0 and 1 or 0)
  for _, change in ipairs(found) do
    if wanted.json then
      print(nacre.json.encode({ container = c.name, path = change.path, kind = change.kind }))
    else
      table.insert(rows, { c.name, change.kind, change.path })
    end
  end
end
if not wanted.json then
  if #rows > 0 then tell.rows({ "CONTAINER", "KIND", "PATH" }, rows) end
  print(("%d of %d containers changed what they should not"):format(drifted, #containers))
end
return drifted > 0 and 1 or 0
