-- The last touches: images that are found and described, tables that scroll, formulas in words,
-- paragraphs of code.

local common = dofile(pandoc.path.join {pandoc.path.directory(PANDOC_SCRIPT_FILE), 'common.lua'})
local html, stop = common.html, common.stop
local raw, raw_block, quoted = common.raw, common.raw_block, common.quoted

local function find(path)
  if path:match('^https?:') then
    stop(path, 'the image ' .. path .. ' is on the network: the report is read offline')
  end
  for _, folder in ipairs(PANDOC_STATE.resource_path) do
    local candidate = pandoc.path.is_absolute(path) and path or pandoc.path.join {folder, path}
    local file = io.open(candidate, 'rb')
    if file then
      file:close()
      return candidate
    end
  end
  stop(path, 'the image ' .. path .. ' is missing')
end

local function image(element)
  local path = find(element.src)
  local alternative = element.attributes['fig-alt'] or ''
  if alternative == '' then alternative = pandoc.utils.stringify(element.caption) end
  if html then
    element.src, element.caption = path, pandoc.Inlines(alternative)
    element.attributes['fig-alt'] = nil
    return element
  end
  local width = element.attributes.width
  if width and not width:match('^[%d.]+[%%a-z]+$') then width = nil end
  return raw('#picture(' .. quoted(path) .. ', alt: ' .. quoted(alternative) ..
    (width and ', width: ' .. width or '') .. ')')
end

local function table_block(tbl)
  tbl.attributes = {}
  if html then -- the wrapper scrolls sideways where the screen is narrower than the table
    local open = '<div class="table-scroll" role="group" aria-label="table" tabindex="0">'
    return {raw_block(open), tbl, raw_block('</div>')}
  end
  tbl.classes = {'typst:no-figure'}
  return tbl
end

-- The standard for accessible PDF wants words for every formula: its TeX source.
local function math_with_words(math)
  if html then return nil end
  return {raw('#[#set math.equation(alt: ' .. quoted(math.text) .. ');'), math, raw(']')}
end

-- In Typst, the first class of a code block would be its language.
local function code_block(block)
  if html then return nil end
  block.classes = block.classes:filter(function(class) return class ~= 'cell-output' end)
  return block
end

-- Code does not stretch, so that lines full of it would have wide gaps between their words.
local function paragraph(para)
  local code = 0
  para:walk {Code = function(element) code = code + #element.text end}
  if html or code < 0.3 * #pandoc.utils.stringify(para) then return nil end
  return {raw_block('#['), raw_block('#set par(justify: false)'), para, raw_block(']')}
end

Image, Table, Math, CodeBlock, Para = image, table_block, math_with_words, code_block, paragraph
