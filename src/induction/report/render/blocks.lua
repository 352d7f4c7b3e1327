-- Content for one format alone, callouts, and the summary.

local common = dofile(pandoc.path.join {pandoc.path.directory(PANDOC_SCRIPT_FILE), 'common.lua'})
local html, target, stop = common.html, common.target, common.stop
local raw_block, with_ends = common.raw_block, common.with_ends

local callouts = {note = 'Note', warning = 'Warning', important = 'Important', tip = 'Tip',
                  caution = 'Caution'}

local function wanted(element)
  local visible = element.classes:includes('content-visible')
  local hidden = element.classes:includes('content-hidden')
  if not (visible or hidden) then return nil end
  local when, unless = element.attributes['when-format'], element.attributes['unless-format']
  local condition = when or unless
  if condition ~= 'html' and condition ~= 'typst' then
    stop(condition or 'content-' .. (visible and 'visible' or 'hidden'),
      'conditional content needs when-format or unless-format, "html" or "typst"')
  end
  local matches = (condition == target) == (when ~= nil)
  return matches == visible
end

local function conditional(element)
  local keep = wanted(element)
  if keep == nil then return nil end
  return keep and element.content or {}
end

local function callout(div, kind)
  local title = div.attributes.title and pandoc.Inlines(div.attributes.title)
  if not title and div.content[1] and div.content[1].t == 'Header' then
    title = div.content:remove(1).content
  end
  title = title or pandoc.Inlines(callouts[kind])
  local collapsed = div.attributes.collapse
  -- What is said aside is no part of the report's outline.
  local content = div.content:walk {Header = function(header)
    header.classes:extend {'unnumbered', 'unlisted'}
    return header
  end}
  local blocks = pandoc.Blocks {}
  if html then
    local class = ' class="callout callout-' .. kind .. '">'
    local open, tag, close = '<div role="note"' .. class, 'p', '</div>'
    if collapsed then
      local state = collapsed == 'false' and ' open' or ''
      open, tag, close = '<details' .. state .. class, 'summary', '</details>'
    end
    blocks:insert(raw_block(open))
    blocks:insert(with_ends('<' .. tag .. ' class="callout-title">', title, '</' .. tag .. '>'))
    blocks:extend(content)
    blocks:insert(raw_block(close))
  else
    blocks:insert(with_ends('#callout("' .. kind .. '", [', title, '])['))
    blocks:extend(content)
    blocks:insert(raw_block(']'))
  end
  return blocks
end

-- What a reader in a hurry needs: a box in the PDF, a class for the style sheet on the page.
local function summary(element)
  if html then return nil end
  local blocks = pandoc.Blocks {raw_block('#summary[')}
  blocks:extend(element.content)
  blocks:insert(raw_block(']'))
  return blocks
end

local function div(element)
  if element.classes:includes('summary') then return summary(element) end
  for kind in pairs(callouts) do
    if element.classes:includes('callout-' .. kind) then return callout(element, kind) end
  end
end

function Pandoc(doc)
  return doc:walk {Div = conditional, Span = conditional}:walk {Div = div}
end
