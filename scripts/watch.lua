#!/usr/bin/env -S nacre script run
-- Tells what happens on a storage root while it happens: images, containers, layers and mounts that come, change and go,
-- by whomever, and the disk getting full. It looks every so often and tells the differences.
--
--   nacre script run --time 86400 watch.lua
--   nacre script run --time 86400 watch.lua --json --low 10GB | while read -r event; do …; done

local options = require("lib.options")
local tell = require("lib.tell")

local usage = [[
usage: nacre script run watch.lua [OPTIONS]
  --every SPAN    how often it is looked; 1s where it is not said
  --for SPAN      end after so long
  --low BYTES     tell when less than this is free on the root's file system, and when it is more again
  --json          one JSON object a line]]

local wanted = options.read(arg, usage, { every = "span", ["for"] = "span", low = "bytes", json = "flag" })
if not wanted then return 0 end
local every = wanted.every or 1

-- What there is now: for each kind, things by an ID that stays, each with its name and the facts that are watched.
local function look()
  local found = { image = {}, container = {}, layer = {}, mount = {} }
  for _, image in ipairs(nacre.image.list({ labels = false })) do
    found.image[image.id] = { name = tell.image(image), facts = { names = table.concat(image.references, " ") } }
  end
  for _, c in ipairs(nacre.container.list()) do
    local state = c.exit_code and ("%s (%d)"):format(c.state, c.exit_code) or c.state
    found.container[c.id] = { name = c.name, facts = { state = state, name = c.name, driver = c.driver } }
  end
  for _, layer in ipairs(nacre.layer.list()) do
    local name = ("%s (%s, %s)"):format(tell.short(layer.chain_id), layer.driver, tell.bytes(layer.size))
    found.layer[layer.driver .. layer.chain_id] = { name = name, facts = {} }
  end
  for _, mount in ipairs(nacre.mount.list()) do
    found.mount[mount.path] = { name = mount.container or mount.image or mount.path, facts = {} }
  end
  return found
end

local function event(kind, what, thing, detail)
  local time = nacre.time.format()
  if wanted.json then
    print(nacre.json.encode({ time = time, kind = kind, event = what, name = thing, detail = detail }))
  else
    print(("%s  %-9s  %-8s  %s%s"):format(time, kind, what, thing, detail and "  " .. detail or ""))
  end
end

-- Keys in one order, so that the same events come in the same order.
local function sorted(things)
  local keys = {}
  for key in pairs(things) do table.insert(keys, key) end
  table.sort(keys)
  return keys
end

local function tell_differences(kind, before, now)
  for _, id in ipairs(sorted(before)) do
    if not now[id] then event(kind, "gone", before[id].name) end
  end
  for _, id in ipairs(sorted(now)) do
    local was, is = before[id], now[id]
    if not was then
      event(kind, "new", is.name, is.facts.state)
    else
      for _, fact in ipairs(sorted(is.facts)) do
        if was.facts[fact] ~= is.facts[fact] then
          event(kind, "changed", is.name, ("%s: %s -> %s"):format(fact, was.facts[fact], is.facts[fact]))
        end
      end
    end
  end
end

local low = false
local function watch_space()
  local free = nacre.system.space().available
  if wanted.low and (free < wanted.low) ~= low then
    low = not low
    event("space", low and "low" or "enough", tell.bytes(free) .. " free")
  end
end

local ends = wanted["for"] and nacre.time.now() + wanted["for"] or math.huge
local before = look()
watch_space()
while nacre.time.now() < ends do
  nacre.time.sleep(math.max(math.min(every, ends - nacre.time.now()), 0))
  local now = look()
  for _, kind in ipairs({ "layer", "image", "container", "mount" }) do tell_differences(kind, before[kind], now[kind]) end
  watch_space()
  before = now
end
