#!/usr/bin/env -S nacre script run
-- Backs images and stopped containers up into a directory, and brings them back.
--
--   nacre script run --allow fs=/srv/backup backup.lua save /srv/backup            all images and stopped containers
--   nacre script run --allow fs=/srv/backup backup.lua save /srv/backup web debian:latest
--   nacre script run --allow fs=/srv/backup backup.lua verify /srv/backup
--   nacre script run --allow fs=/srv/backup backup.lua restore /srv/backup
--
-- The directory is an OCI image layout, which other tools read too. A layer is written once, under its digest: a later
-- run adds what is new. A container is kept as an image with one more layer, what it changed, and as a record of how it
-- was created; it comes back on that image. What is restored is verified by its digests.

local options = require("lib.options")
local tell = require("lib.tell")

local usage = [[
usage: nacre script run --allow fs=DIR backup.lua save DIR [IMAGE|CONTAINER…]
       nacre script run --allow fs=DIR backup.lua verify DIR
       nacre script run --allow fs=DIR backup.lua restore DIR
  save       writes what is new; without names all images and all containers that do not run
  verify     reads everything, and compares digests
  restore    loads the images, and creates containers that are not there]]

local wanted = options.read(arg, usage, {})
if not wanted then return 0 end
local command, dir = wanted[1], wanted[2]
if not dir then options.fail("a command and a directory are needed", usage) end

local blobs = dir .. "/blobs/sha256/"
local types = {
  index = "application/vnd.oci.image.index.v1+json",
  manifest = "application/vnd.oci.image.manifest.v1+json",
  config = "application/vnd.oci.image.config.v1+json",
  layer = "application/vnd.oci.image.layer.v1.tar",
}
local NAME, DANGLING = "io.containerd.image.name", "nacre.dangling"
local CONTAINER, RECORD = "nacre.container", "nacre.record"

local function hex(digest) return digest:match("^sha256:(%x+)$") end

local function descriptor(kind, digest, size)
  return { mediaType = types[kind], digest = digest, size = size }
end

-- Writes a blob under its digest unless it is there.
local function put(bytes)
  local digest = nacre.hash.sha256(bytes)
  if not nacre.fs.exists(blobs .. digest) then nacre.fs.write(blobs .. digest, bytes) end
  return "sha256:" .. digest, #bytes
end

-- The index as it is, or an empty one.
local function read_index()
  if not nacre.fs.exists(dir .. "/index.json") then
    return { schemaVersion = 2, mediaType = types.index, manifests = {} }
  end
  return nacre.json.decode(nacre.fs.read(dir .. "/index.json"))
end

-- Calls a function for each blob that an index refers to. A manifest that is not there refers to nothing.
local function each_blob(index, work)
  for _, found in ipairs(index.manifests) do
    local marks, there = found.annotations or {}, work(found.digest)
    if marks[RECORD] then work(marks[RECORD]) end
    if there then
      local manifest = nacre.json.decode(nacre.fs.read(blobs .. hex(found.digest)))
      work(manifest.config.digest)
      for _, layer in ipairs(manifest.layers) do work(layer.digest) end
    end
  end
end

-- Saves an image, and tells its manifest's descriptor and the bytes that are new.
local function save_image(image)
  local chain, layers, new = nacre.image.chain(image), {}, 0
  local text = nacre.image.configuration(image)
  for i, diff in ipairs(nacre.json.decode(text).rootfs.diff_ids) do
    local file = blobs .. hex(diff)
    if not nacre.fs.exists(file) then
      nacre.layer.save(chain[i], file)
      new = new + nacre.fs.stat(file).size
    end
    layers[i] = descriptor("layer", diff, nacre.fs.stat(file).size)
  end
  local manifest = { schemaVersion = 2, mediaType = types.manifest, layers = tell.list(layers) }
  manifest.config = descriptor("config", put(text))
  local found = descriptor("manifest", put(nacre.json.encode(manifest)))
  return found, new
end

-- Puts a manifest into the index, in the place of one of the same name.
local function enter(index, found, key, value)
  found.annotations = { [key] = value }
  for i, known in ipairs(index.manifests) do
    if known.annotations and known.annotations[key] == value then
      index.manifests[i] = found
      return
    end
  end
  table.insert(index.manifests, found)
end

local function save_container(index, c)
  local known = c:inspect()
  local id = c:commit({ message = "backup of " .. c.name })
  local ok, found, new = pcall(save_image, id)
  nacre.image.remove(id)
  if not ok then error(found, 0) end
  enter(index, found, CONTAINER, c.name)
  local record = { Config = known.Config, HostConfig = known.HostConfig, Image = c.image, Driver = c.driver }
  found.annotations[RECORD] = put(nacre.json.encode(record))
  return new
end

-- What was named, or everything.
local function chosen()
  local images, containers = {}, {}
  for i = 3, #wanted do
    local c = nacre.container.get(wanted[i])
    if c then
      table.insert(containers, c)
    else
      nacre.image.inspect(wanted[i])
      table.insert(images, wanted[i])
    end
  end
  if #wanted > 2 then return images, containers end
  for _, image in ipairs(nacre.image.list()) do
    for _, name in ipairs(#image.references > 0 and image.references or { image.id }) do table.insert(images, name) end
  end
  for _, c in ipairs(nacre.container.list()) do table.insert(containers, nacre.container.get(c.id)) end
  return images, containers
end

local function save()
  nacre.fs.mkdir(dir .. "/blobs/sha256")
  nacre.fs.write(dir .. "/oci-layout", '{"imageLayoutVersion":"1.0.0"}')
  local index, total = read_index(), 0
  local images, containers = chosen()
  for _, name in ipairs(images) do
    local found, new = save_image(name)
    enter(index, found, name:find("^sha256:") and DANGLING or NAME, name)
    total = total + new
    print(("saved %s (%s new)"):format(name, tell.bytes(new)))
  end
  for _, c in ipairs(containers) do
    if c:running() then
      print(("left out %s: it runs"):format(c.name))
    else
      local new = save_container(index, c)
      total = total + new
      print(("saved the container %s (%s new)"):format(c.name, tell.bytes(new)))
    end
  end
  -- Last: until then the backup is the one before.
  nacre.fs.write(dir .. "/index.json", nacre.json.encode(index))
  -- What the one before referred to and this one does not.
  local needed = {}
  each_blob(index, function(digest)
    needed[hex(digest)] = true
    return true
  end)
  for _, entry in ipairs(nacre.fs.list(blobs)) do
    if not needed[entry.name] then nacre.fs.remove(blobs .. entry.name) end
  end
  print(("%s new in %s"):format(tell.bytes(total), dir))
end

local function verify()
  local count, bad = 0, 0
  for _, entry in ipairs(nacre.fs.list(blobs)) do
    count = count + 1
    if nacre.hash.sha256_file(blobs .. entry.name) ~= entry.name then
      print("damaged: " .. blobs .. entry.name)
      bad = bad + 1
    end
  end
  each_blob(read_index(), function(digest)
    local there = nacre.fs.exists(blobs .. hex(digest))
    if not there then
      print("missing: " .. blobs .. hex(digest))
      bad = bad + 1
    end
    return there
  end)
  print(("%d blobs, %d damaged or missing"):format(count, bad))
  return bad == 0 and 0 or 5
end

-- A list of `NAME=value` as a table; a name without a value is left out.
local function assignments(list)
  local found = {}
  for _, text in ipairs(list or {}) do
    local name, value = text:match("^([^=]+)=(.*)$")
    if name then found[name] = value end
  end
  return found
end

local function some(value)
  if value == nil or value == nacre.json.null or value == "" then return nil end
  return value
end

local function restore_container(name, image, record)
  local config, host = record.Config, record.HostConfig or {}
  nacre.container.create({
    name = name,
    image = image,
    command = some(config.Cmd),
    entrypoint = some(config.Entrypoint),
    env = assignments(some(config.Env)),
    workdir = some(config.WorkingDir),
    user = some(config.User),
    hostname = some(config.Hostname),
    labels = some(config.Labels),
    read_only = some(host.ReadonlyRootfs),
    host_network = host.NetworkMode == "host",
  })
end

local function restore()
  -- Every blob that is loaded is compared with its digest.
  local loaded = nacre.image.load(dir)
  print(tell.count(#loaded, "image") .. " loaded")
  for _, found in ipairs(read_index().manifests) do
    local marks = found.annotations or {}
    local name, record = marks[CONTAINER], marks[RECORD]
    if name and nacre.container.get(name) then
      print(("left out %s: a container of that name is there"):format(name))
    elseif name then
      local manifest = nacre.json.decode(nacre.fs.read(blobs .. hex(found.digest)))
      restore_container(name, manifest.config.digest, nacre.json.decode(nacre.fs.read(blobs .. hex(record))))
      print(("created %s"):format(name))
    end
  end
end

local commands = { save = save, verify = verify, restore = restore }
if not commands[command] then options.fail("unknown command " .. command, usage) end
return commands[command]()
