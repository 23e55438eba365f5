-- Values as text for people: tables with their keys in order, each on a line of its own where they are long.
local getmetatable, tostring, type, ipairs, pairs, next = getmetatable, tostring, type, ipairs, pairs, next
local format, rep, find = string.format, string.rep, string.find
local concat, sort = table.concat, table.sort
local kind = math.type

local DEEPEST, MOST, WIDTH = 8, 200, 100

local function order(a, b)
  local ta, tb = type(a), type(b)
  if ta ~= tb then return ta < tb end
  if ta == "number" or ta == "string" then return a < b end
  return tostring(a) < tostring(b)
end

local function key_text(key)
  if type(key) == "string" and find(key, "^[%a_][%w_]*$") then return key end
  return "[" .. (type(key) == "string" and format("%q", key) or tostring(key)) .. "]"
end

local function text(value, depth, above)
  if type(value) == "string" then return (format("%q", value):gsub("\\\n", "\\n")) end
  if type(value) ~= "table" or getmetatable(value) ~= nil and type(getmetatable(value)) == "string" then
    return tostring(value)
  end
  if above[value] then return "<itself>" end
  if next(value) == nil then return "{}" end
  if depth >= DEEPEST then return "{…}" end
  above[value] = true
  local parts, listed, length = {}, 0, 0
  for i = 1, #value do
    if i > MOST then break end
    parts[i], listed = text(value[i], depth + 1, above), i
  end
  local keys, count = {}, 0
  for key in pairs(value) do
    if not (kind(key) == "integer" and key >= 1 and key <= listed) then
      count = count + 1
      if count <= MOST then keys[count] = key end
    end
  end
  sort(keys, order)
  for _, key in ipairs(keys) do
    parts[#parts + 1] = key_text(key) .. " = " .. text(value[key], depth + 1, above)
  end
  if count > MOST then parts[#parts + 1] = format("… (%d more)", count - MOST) end
  above[value] = nil
  for _, part in ipairs(parts) do length = length + #part + 2 end
  if length <= WIDTH and not find(concat(parts), "\n", 1, true) then return "{ " .. concat(parts, ", ") .. " }" end
  local indent = rep("  ", depth + 1)
  return "{\n" .. indent .. concat(parts, ",\n" .. indent) .. "\n" .. rep("  ", depth) .. "}"
end

return function(value) return text(value, 0, {}) end
