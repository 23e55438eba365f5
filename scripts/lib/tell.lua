-- How scripts tell things: bytes, times and tables, as nacre's own commands do.

local tell = {}

-- Bytes in the units that people read: 1.98MB.
function tell.bytes(bytes)
  local units, i = { "B", "kB", "MB", "GB", "TB" }, 1
  while bytes >= 1000 and units[i + 1] do
    bytes, i = bytes / 1000, i + 1
  end
  if i == 1 then return ("%dB"):format(bytes) end
  return (bytes < 100 and "%.3g%s" or "%.0f%s"):format(bytes, units[i])
end

-- Seconds in the units that people read: 1.2ms.
function tell.seconds(seconds)
  if seconds < 1 then return ("%.1fms"):format(seconds * 1e3) end
  return ("%.2fs"):format(seconds)
end

-- A number of things: 1 layer, 2 layers.
function tell.count(number, thing)
  return ("%d %s%s"):format(number, thing, number == 1 and "" or "s")
end

-- An ID or digest as commands show it.
function tell.short(id)
  return id:gsub("^sha256:", ""):sub(1, 12)
end

-- What an image is called.
function tell.image(image)
  return image.references[1] or tell.short(image.id)
end

local function width(cell)
  return utf8.len(cell) or #cell
end

-- Prints rows below their heads, in columns.
function tell.rows(heads, rows)
  local widths = {}
  for _, row in ipairs({ heads, table.unpack(rows) }) do
    for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, width(cell)) end
  end
  local function line(row)
    local cells = {}
    for i, cell in ipairs(row) do cells[i] = cell .. (" "):rep(widths[i] - width(cell)) end
    print((table.concat(cells, "   "):gsub("%s+$", "")))
  end
  line(heads)
  for _, row in ipairs(rows) do line(row) end
end

-- A list for JSON: one without elements is a list all the same.
function tell.list(list)
  return #list > 0 and list or nacre.json.decode("[]")
end

return tell
