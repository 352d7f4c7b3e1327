-- Content for one format alone, and boxes.

local common = dofile(pandoc.path.join {pandoc.path.directory(PANDOC_SCRIPT_FILE), 'common.lua'})
local html, target, stop = common.html, common.target, common.stop
local raw_block = common.raw_block

local function conditional(element)
  if element.classes:includes('content-hidden') then
    stop('content-hidden', 'content-hidden is not supported: write .content-visible with ' ..
      'when-format="html" or "typst"')
  end
  if not element.classes:includes('content-visible') then return nil end
  local format, unless = element.attributes['when-format'], element.attributes['unless-format']
  if unless or (format ~= 'html' and format ~= 'typst') then
    stop(unless and 'unless-format' or format or 'content-visible',
      'conditional content needs when-format, "html" or "typst", and nothing else')
  end
  return format == target and element.content or {}
end

-- What a reader has to know first: a box in the PDF, a class for the style sheet on the page.
local function box(element)
  element.attributes = {}
  if html then return element end
  local blocks = pandoc.Blocks {raw_block('#summary[')}
  blocks:extend(element.content)
  blocks:insert(raw_block(']'))
  return blocks
end

local function div(element)
  for _, class in ipairs(element.classes) do
    if class:match('^callout') then
      stop(class, 'a callout: for its icon Quarto\'s PDF loads a font from the network: write ' ..
        '::: {.notice} instead')
    end
    if class:match('^column%-') then
      stop(class, class .. ' is not supported: a figure is as wide as it is drawn')
    end
  end
  if element.classes:includes('summary') or element.classes:includes('notice') then
    return box(element)
  end
end

function Pandoc(doc)
  return doc:walk {Div = conditional, Span = conditional}:walk {Div = div}
end
