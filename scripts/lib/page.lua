-- A page of HTML in one file: no script, style, font or image of somebody else's. It follows the reader's choice of
-- light or dark, its tables are sorted by a click on a head, and its charts are inline SVG.

local page = {}

local style = [[
:root { color-scheme: light dark;
  --page: #f6f6f3; --card: #ffffff; --ink: #17181a; --soft: #5d6066; --line: #e2e2dd; --track: #ededE8;
  --s1: #2a6fdb; --s2: #12a38a; --s3: #e0832a; --s4: #8a5bd6; --s5: #c74d6e; --s6: #7a8288; }
@media (prefers-color-scheme: dark) { :root {
  --page: #131416; --card: #1d1f22; --ink: #eceded; --soft: #a0a4aa; --line: #303338; --track: #2a2d31;
  --s1: #5b9bf5; --s2: #35c4aa; --s3: #f0a050; --s4: #ac86ee; --s5: #e8789a; --s6: #949ca3; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 26px; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 17px; margin: 0 0 4px; }
.note { color: var(--soft); margin: 0 0 14px; font-size: 14px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 20px 22px; margin-top: 18px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 14px; margin-top: 20px; }
.figure { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 14px 18px; }
.figure b { display: block; font-size: 25px; font-weight: 620; line-height: 1.25; letter-spacing: -.01em; }
.figure span { color: var(--soft); font-size: 13px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; font-size: 13px; color: var(--soft); padding: 6px 12px 6px 0; white-space: nowrap;
  cursor: pointer; user-select: none; border-bottom: 1px solid var(--line); }
th:hover, th:focus-visible { color: var(--ink); }
th::after { content: "\2195"; opacity: .35; padding-left: 4px; }
th[aria-sort=ascending]::after { content: "\2191"; opacity: 1; }
th[aria-sort=descending]::after { content: "\2193"; opacity: 1; }
td { padding: 7px 12px 7px 0; border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; }
th.n, td.n { text-align: right; white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
td.path { font-family: ui-monospace, monospace; font-size: 13px; overflow-wrap: anywhere; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0 0 12px; font-size: 13px; color: var(--soft); }
.legend i { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 6px; vertical-align: -1px; }
.bars { display: grid; grid-template-columns: minmax(90px, max-content) 1fr max-content; gap: 7px 14px; align-items: center; }
.bars .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; max-width: 260px; }
.bars .value { text-align: right; color: var(--soft); font-variant-numeric: tabular-nums; font-size: 14px; }
svg { display: block; width: 100%; border-radius: 4px; }
.none { color: var(--soft); margin: 0; }
]]

-- Sorts a table by the column whose head was chosen, by click or with the keyboard.
local sorting = [[
for (const head of document.querySelectorAll("th")) {
  const sort = () => {
    const row = head.parentNode, column = [...row.children].indexOf(head);
    const down = head.getAttribute("aria-sort") === "descending" || (!head.hasAttribute("aria-sort") && !head.classList.contains("n"));
    for (const other of row.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "ascending" : "descending");
    const body = head.closest("table").tBodies[0], key = (line) => line.children[column].dataset.key;
    const order = (a, b) => head.classList.contains("n") ? key(a) - key(b) : key(a).localeCompare(key(b));
    body.append(...[...body.rows].sort((a, b) => down ? order(a, b) : order(b, a)));
  };
  head.tabIndex = 0;
  head.addEventListener("click", sort);
  head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
}
]]

local signs = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

-- A text as HTML has it. Bytes that are no UTF-8 are shown as `?`.
function page.text(text)
  text = tostring(text)
  if not utf8.len(text) then text = text:gsub("[\128-\255]", "?") end
  return (text:gsub("[&<>\"']", signs))
end

-- The whole page of parts that are HTML already.
function page.whole(title, note, parts)
  return table.concat({
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    "<title>" .. page.text(title) .. "</title><style>" .. style .. "</style></head><body><main>",
    "<h1>" .. page.text(title) .. "</h1>",
    '<p class="note">' .. page.text(note) .. "</p>",
    table.concat(parts, "\n"),
    "</main><script>" .. sorting .. "</script></body></html>\n",
  }, "\n")
end

-- Figures side by side: pairs of a value and what it is.
function page.figures(figures)
  local cells = {}
  for i, figure in ipairs(figures) do
    cells[i] = ('<div class="figure"><b>%s</b><span>%s</span></div>'):format(page.text(figure[1]), page.text(figure[2]))
  end
  return '<div class="figures">' .. table.concat(cells) .. "</div>"
end

-- A part of the page with its head.
function page.section(title, note, content)
  return ('<section><h2>%s</h2><p class="note">%s</p>%s</section>'):format(page.text(title), page.text(note), content)
end

-- A table. A column is { head = …, number = true, path = true }; a cell a text, or { key = 12, text = "12B" }.
function page.table(columns, rows)
  if #rows == 0 then return '<p class="none">There are none.</p>' end
  local function class(column) return column.number and ' class="n"' or column.path and ' class="path"' or "" end
  local lines = { '<div class="scroll"><table><thead><tr>' }
  for _, column in ipairs(columns) do
    table.insert(lines, ("<th%s>%s</th>"):format(column.number and ' class="n"' or "", page.text(column.head)))
  end
  table.insert(lines, "</tr></thead><tbody>")
  for _, row in ipairs(rows) do
    local cells = {}
    for i, cell in ipairs(row) do
      local key, text = cell, cell
      if type(cell) == "table" then key, text = cell.key, cell.text end
      cells[i] = ('<td%s data-key="%s">%s</td>'):format(class(columns[i]), page.text(key), page.text(text))
    end
    table.insert(lines, "<tr>" .. table.concat(cells) .. "</tr>")
  end
  table.insert(lines, "</tbody></table></div>")
  return table.concat(lines, "\n")
end

-- Stacked bars: a series is { "what it is", colour from 1 to 6 }; a row is { name = …, value = "347MB", parts = { 3, 4 }, titles = { "…", "…" } }.
function page.bars(series, rows)
  if #rows == 0 then return '<p class="none">There are none.</p>' end
  local longest, lines = 0, {}
  for _, row in ipairs(rows) do
    local sum = 0
    for _, part in ipairs(row.parts) do sum = sum + part end
    longest = math.max(longest, sum)
  end
  if #series > 1 then
    local legend = {}
    for i, one in ipairs(series) do
      legend[i] = ('<span><i style="background:var(--s%d)"></i>%s</span>'):format(one[2], page.text(one[1]))
    end
    table.insert(lines, '<div class="legend">' .. table.concat(legend) .. "</div>")
  end
  table.insert(lines, '<div class="bars">')
  for _, row in ipairs(rows) do
    local bars, at = {}, 0
    for i, part in ipairs(row.parts) do
      local length = longest > 0 and part / longest * 100 or 0
      if length > 0 then
        local title = page.text(row.titles and row.titles[i] or series[i][1])
        bars[#bars + 1] = ('<rect x="%.3f%%" width="%.3f%%" height="18" fill="var(--s%d)"><title>%s</title></rect>'):format(
          at, length, series[i][2], title)
        -- A thin gap tells two parts apart, whoever sees no colours.
        if at > 0 then bars[#bars + 1] = ('<rect x="%.3f%%" width="2" height="18" fill="var(--card)"/>'):format(at) end
      end
      at = at + length
    end
    table.insert(lines, ('<div class="name" title="%s">%s</div>'):format(page.text(row.name), page.text(row.name)))
    table.insert(lines, '<svg height="18" role="img"><rect width="100%" height="18" fill="var(--track)"/>')
    table.insert(lines, table.concat(bars) .. "</svg>")
    table.insert(lines, ('<div class="value">%s</div>'):format(page.text(row.value)))
  end
  table.insert(lines, "</div>")
  return table.concat(lines, "\n")
end

return page
