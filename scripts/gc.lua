#!/usr/bin/env -S nacre script run
-- Removes images by age and count. Without --yes it tells what it would remove.

local usage = [[
usage: nacre script run gc.lua [OPTIONS]
  --older-than SPAN     remove images that are older than this, such as 30d or 12h
  --keep N              keep the newest N images of each repository; the others, and those without a name, go
  --keep-label NAME[=V] keep images with this label (can be repeated)
  --yes                 remove them; without it nothing is changed
With both, what is older and not among the newest goes; without them nothing does. An image that a container uses is
kept.]]

local function options(words)
  local found = { labels = {} }
  local i = 1
  local function value(name)
    i = i + 1
    return words[i] or error(name .. " needs a value\n" .. usage, 0)
  end
  while words[i] do
    local word = words[i]
    if word == "--older-than" then
      found.age = nacre.time.seconds(value(word))
    elseif word == "--keep" then
      found.keep = math.tointeger(tonumber(value(word))) or error("--keep needs a number\n" .. usage, 0)
    elseif word == "--keep-label" then
      local name, wanted = value(word):match("^([^=]+)=?(.*)$")
      found.labels[name] = wanted or ""
    elseif word == "--yes" then
      found.yes = true
    elseif word == "--help" then
      print(usage)
      return nil
    else
      error("unknown option " .. word .. "\n" .. usage, 0)
    end
    i = i + 1
  end
  return found
end

local function repository(reference)
  return reference:match("^(.+):[^:/]+$") or reference
end

-- The images of each repository, the newest first, with the rank of each.
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
    for i, image in ipairs(list) do
      rank[image.id] = math.min(rank[image.id] or i, i)
    end
  end
  return rank
end

local function has_label(image, labels)
  for name, wanted in pairs(labels) do
    local value = image.labels[name]
    if value and (wanted == "" or value == wanted) then return true end
  end
  return false
end

-- Takes all its names away, and tells the bytes that this freed.
local function remove(image)
  local freed = 0
  local names = #image.references > 0 and image.references or { image.id }
  for _, name in ipairs(names) do freed = freed + nacre.image.remove(name).bytes end
  return freed
end

local wanted = options(arg)
if not wanted then return 0 end

local images, now = nacre.image.list(), nacre.time.now()
local rank = ranks(images)
local count, bytes = 0, 0
for _, image in ipairs(images) do
  local old = wanted.age and image.created and now - image.created > wanted.age
  local surplus = wanted.keep and (rank[image.id] or math.huge) > wanted.keep
  -- With --older-than and --keep, an image must be old and surplus.
  local goes = (old or not wanted.age) and (surplus or not wanted.keep) and (wanted.age or wanted.keep)
  if goes and image.containers == 0 and not has_label(image, wanted.labels) then
    local name = image.references[1] or image.id:sub(8, 19)
    if wanted.yes then
      local ok, freed = pcall(remove, image)
      if ok then
        print("removed " .. name)
        count, bytes = count + 1, bytes + freed
      elseif freed.code == "conflict" or freed.code == "not_found" then
        -- A container came, or somebody else was quicker.
        print("kept " .. name .. ": " .. freed.message)
      else
        error(freed, 0)
      end
    else
      print("would remove " .. name)
      count = count + 1
    end
  end
end
if wanted.yes then
  print(("%d images removed, %d bytes freed"):format(count, bytes))
else
  print(("%d images would be removed; --yes removes them"):format(count))
end
