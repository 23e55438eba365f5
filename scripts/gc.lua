#!/usr/bin/env -S nacre script run
-- Removes images by age, by count, and until there is space. Without --yes it tells what it would remove.
--
--   nacre script run gc.lua --older-than 30d --keep 3 --keep-label keep
--   nacre script run gc.lua --free 20GB --yes

local options = require("lib.options")
local tell = require("lib.tell")

local usage = [[
usage: nacre script run gc.lua [OPTIONS]
  --older-than SPAN     remove images that are older than this, such as 30d or 12h
  --keep N              keep the newest N images of each repository; the others, and those without a name, go
  --keep-label NAME[=V] keep images with this label (can be repeated)
  --free BYTES          remove, the oldest first, only until so many bytes are free on the root's file system
  --yes                 remove them; without it nothing is changed
With --older-than and --keep, what is older and not among the newest goes. --free alone may take every image that is not
kept. An image that a container uses is always kept.]]

local wanted = options.read(arg, usage, {
  ["older-than"] = "span",
  keep = "count",
  ["keep-label"] = "list",
  free = "bytes",
  yes = "flag",
})
if not wanted then return 0 end

local function repository(reference)
  return reference:match("^(.+):[^:/]+$") or reference
end

-- For each image, the best place that it has among the images of a repository, the newest first.
local function ranks(images)
  local by_repository, rank = {}, {}
  for _, image in ipairs(images) do
    for _, reference in ipairs(image.references) do
      local name = repository(reference)
      by_repository[name] = by_repository[name] or {}
      table.insert(by_repository[name], image)
    end
  end
  for _, list in pairs(by_repository) do
    table.sort(list, function(a, b) return (a.created or 0) > (b.created or 0) end)
    for i, image in ipairs(list) do rank[image.id] = math.min(rank[image.id] or i, i) end
  end
  return rank
end

local function is_kept_by_label(image)
  for _, label in ipairs(wanted.keep_label or {}) do
    local name, value = label:match("^([^=]+)=?(.*)$")
    local has = image.labels[name]
    if has and (value == "" or has == value) then return true end
  end
  return false
end

-- The images that may go, the oldest first.
local function candidates(images)
  local rank, now, found = ranks(images), nacre.time.now(), {}
  for _, image in ipairs(images) do
    local old = image.created and now - image.created > (wanted.older_than or 0)
    local surplus = (rank[image.id] or math.huge) > (wanted.keep or 0)
    local asked = wanted.older_than or wanted.keep or wanted.free
    local goes = asked and (old or not wanted.older_than) and (surplus or not wanted.keep)
    if goes and image.containers == 0 and not is_kept_by_label(image) then table.insert(found, image) end
  end
  table.sort(found, function(a, b) return (a.created or 0) < (b.created or 0) end)
  return found
end

-- A function that tells which bytes go with an image: those of layers that only it and what went before stands on.
local function reckoning(images)
  local users, size = {}, {}
  for _, layer in ipairs(nacre.layer.list()) do size[layer.chain_id] = layer.size end
  for _, image in ipairs(images) do
    for _, layer in ipairs(nacre.image.chain(image.id)) do users[layer] = (users[layer] or 0) + 1 end
  end
  return function(image)
    local bytes = 0
    for _, layer in ipairs(nacre.image.chain(image.id)) do
      users[layer] = users[layer] - 1
      if users[layer] == 0 then bytes = bytes + (size[layer] or 0) end
    end
    return bytes
  end
end

-- Takes all its names away, and tells the bytes that this freed; nil where it has to stay.
local function remove(image)
  local names, freed = #image.references > 0 and image.references or { image.id }, 0
  for _, name in ipairs(names) do
    local ok, removed = pcall(nacre.image.remove, name)
    if ok then
      freed = freed + removed.bytes
    elseif removed.code == "conflict" or removed.code == "not_found" then
      -- A container came, or somebody else was quicker.
      print(("kept %s: %s"):format(tell.image(image), removed.message))
      return nil
    else
      error(removed, 0)
    end
  end
  return freed
end

local images = nacre.image.list()
local bytes_of, count, freed = reckoning(images), 0, 0
for _, image in ipairs(candidates(images)) do
  local free = nacre.system.space().available + (wanted.yes and 0 or freed)
  if wanted.free and free >= wanted.free then break end
  local bytes
  if wanted.yes then
    bytes = remove(image)
  else
    bytes = bytes_of(image)
  end
  if bytes then
    print((wanted.yes and "removed %s (%s)" or "would remove %s (%s)"):format(tell.image(image), tell.bytes(bytes)))
    count, freed = count + 1, freed + bytes
  end
end

if wanted.yes then
  print(("%s removed, %s freed"):format(tell.count(count, "image"), tell.bytes(freed)))
else
  print(("%s would be removed, %s freed; --yes removes them"):format(tell.count(count, "image"), tell.bytes(freed)))
end
local free = nacre.system.space().available + (wanted.yes and 0 or freed)
if wanted.free and free < wanted.free then
  print(("%s free is less than %s: the rest is kept, or is in use"):format(tell.bytes(free), tell.bytes(wanted.free)))
  return 1
end
