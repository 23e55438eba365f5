#!/usr/bin/env -S nacre script run
-- Makes a machine ready: loads images from archives unless they are there, and creates containers from them in advance,
-- so that a start costs a mount and a process and nothing else.
--
--   nacre script run --allow fs=/srv/images warm.lua --archive /srv/images/web.tar --container web:1=4
--
-- It can be run again at any time: what is there is left alone. Containers are named after their image, web-1-warm-1, and
-- carry the label nacre.warm; one that was started is replaced by a new one at the next run.

local options = require("lib.options")
local tell = require("lib.tell")

local usage = [[
usage: nacre script run [--allow fs=DIR] warm.lua [OPTIONS]
  --archive FILE      load the images of this archive, where one of them is missing (can be repeated)
  --container IMAGE=N have N containers of this image that were never started (can be repeated)
  --mount             mount them too: a start then finds its tree ready]]

local wanted = options.read(arg, usage, { archive = "list", container = "list", mount = "flag" })
if not wanted then return 0 end
if not wanted.archive and not wanted.container then options.fail("there is nothing to be done", usage) end

-- The names of an archive's images, as its index or manifest tells them; nil where it has to be loaded to know.
local function names_in(file)
  if nacre.fs.stat(file).kind == "directory" then return nil end
  local manifest = nacre.tar.read(file, "manifest.json")
  if not manifest then return nil end
  local names = {}
  for _, image in ipairs(nacre.json.decode(manifest)) do
    if type(image.RepoTags) == "table" then table.move(image.RepoTags, 1, #image.RepoTags, #names + 1, names) end
  end
  return #names > 0 and names or nil
end

local function is_there(file)
  local names = names_in(file)
  for _, name in ipairs(names or {}) do
    if not nacre.image.get(name) then return false end
  end
  return names ~= nil
end

for _, file in ipairs(wanted.archive or {}) do
  if is_there(file) then
    print("has " .. file)
  else
    local since = nacre.time.now()
    local loaded = nacre.image.load(file)
    print(("loaded %s of %s in %.1fs"):format(tell.count(#loaded, "image"), file, nacre.time.now() - since))
  end
end

-- The containers of an image that wait to be started, by name.
local function waiting(image)
  local found, count = {}, 0
  for _, c in ipairs(nacre.container.list()) do
    if c.labels["nacre.warm"] and c.image_id == image.id and c.state == "created" then
      found[c.name], count = c, count + 1
    end
  end
  return found, count
end

-- Creates containers until enough wait. Numbers of those that were started and kept are passed over.
local function have(image, name, number)
  local stem = name:gsub("[^%w_.-]", "-") .. "-warm-"
  local there, count = waiting(image)
  local made, n = 0, 0
  while count < number do
    n = n + 1
    if not nacre.container.get(stem .. n) then
      local c = nacre.container.create({ image = name, name = stem .. n, labels = { ["nacre.warm"] = name } })
      there[c.name], count, made = c, count + 1, made + 1
    end
  end
  for waiting_name in pairs(wanted.mount and there or {}) do
    local c = nacre.container.get(waiting_name)
    if not c.mounted then c:mount() end
  end
  return made
end

for _, text in ipairs(wanted.container or {}) do
  local name, number = text:match("^(.+)=(%d+)$")
  if not name then options.fail("--container needs IMAGE=N, not " .. text, usage) end
  local image = nacre.image.get(name) or options.fail("there is no image " .. name, usage)
  local made = have(image, name, tonumber(number))
  print(("%s: %d created, %s ready"):format(name, made, number))
end
