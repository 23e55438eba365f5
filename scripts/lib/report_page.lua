-- What report.lua found, as a page.

local page = require("lib.page")
local tell = require("lib.tell")

-- More bars than that are no chart any more; the table has them all.
local MOST_BARS = 24

local function bytes(value)
  return { key = value or 0, text = value and tell.bytes(value) or "-" }
end

local function figures(report)
  local by_kind = {}
  for _, row in ipairs(report.usage) do by_kind[row.kind] = row end
  local layers, containers = by_kind.Layers or by_kind.Images, by_kind.Containers
  local found = {
    { tell.bytes(layers.size), ("in layers of %d images"):format(#report.images) },
    { tell.bytes(containers.size), ("in %d containers"):format(#report.containers) },
    { tell.bytes(by_kind.Images.reclaimable), "free without unused images" },
  }
  if report.hidden then
    table.insert(found, { tell.bytes(report.hidden), "in layers, hidden by those above" })
  end
  return page.figures(found)
end

local function image_bars(images)
  local rows = {}
  for _, image in ipairs(table.move(images, 1, math.min(#images, MOST_BARS), 1, {})) do
    table.insert(rows, {
      name = image.name,
      value = tell.bytes(image.unique + image.shared),
      parts = { image.unique, image.shared },
      titles = { tell.bytes(image.unique) .. " unique", tell.bytes(image.shared) .. " shared" },
    })
  end
  return page.bars({ { "unique: freed when it is removed", 1 }, { "shared with other images", 2 } }, rows)
end

local function image_table(images)
  local rows = {}
  for _, image in ipairs(images) do
    local count = { key = image.layers, text = image.layers }
    local users = { key = image.containers, text = image.containers }
    local created = { key = image.created or 0, text = image.created and nacre.time.format(image.created):sub(1, 10) or "-" }
    table.insert(rows, { image.name, created, count, bytes(image.shared), bytes(image.unique), bytes(image.waste), users })
  end
  return page.table({
    { head = "Image" },
    { head = "Created", number = true },
    { head = "Layers", number = true },
    { head = "Shared", number = true },
    { head = "Unique", number = true },
    { head = "Waste", number = true },
    { head = "Containers", number = true },
  }, rows)
end

local function waste_part(report)
  local bars, rows = {}, {}
  for _, image in ipairs(report.images) do
    if (image.waste or 0) > 0 and #bars < MOST_BARS then
      local seen = math.max(image.unique + image.shared - image.waste, 0)
      table.insert(bars, {
        name = image.name,
        value = ("%s of %s"):format(tell.bytes(image.waste), tell.bytes(image.unique + image.shared)),
        parts = { seen, image.waste },
        titles = { tell.bytes(seen) .. " seen", tell.bytes(image.waste) .. " hidden" },
      })
    end
  end
  for _, at in ipairs(report.waste) do
    table.insert(rows, { at.path, at.how, tell.short(at.layer), bytes(at.bytes) })
  end
  if #rows == 0 then return '<p class="none">No layer hides anything of those below it.</p>' end
  local heads = { { head = "Path", path = true }, { head = "How" }, { head = "By layer" }, { head = "Bytes", number = true } }
  return page.bars({ { "seen", 1 }, { "hidden", 3 } }, bars) .. "<p></p>" .. page.table(heads, rows)
end

local function container_part(containers)
  local bars, rows = {}, {}
  for _, c in ipairs(containers) do
    if #bars < MOST_BARS then
      table.insert(bars, { name = c.name, value = tell.bytes(c.unique), parts = { c.unique } })
    end
    table.insert(rows, { c.name, c.image, c.state, bytes(c.shared), bytes(c.unique) })
  end
  local heads = { { head = "Container" }, { head = "Image" }, { head = "State" }, { head = "Shared", number = true }, { head = "Unique", number = true } }
  return page.bars({ { "in its writable layer", 4 } }, bars) .. "<p></p>" .. page.table(heads, rows)
end

return function(report)
  local parts = {
    figures(report),
    page.section("Images", "What each image takes, and what removing it would free.", image_bars(report.images)),
    page.section("All images", "Choose a head to sort by it. Waste is what an image carries and nobody sees.", image_table(report.images)),
  }
  if report.hidden then
    local note = "Files that a layer deletes or overwrites stay in the layers below it. These paths hide the most."
    table.insert(parts, page.section("Waste in layers", note, waste_part(report)))
  end
  table.insert(parts, page.section("Containers", "What each wrote on top of its image.", container_part(report.containers)))
  return page.whole("Storage of nacre", report.root .. ", " .. report.time, parts)
end
