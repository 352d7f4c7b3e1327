-- How figures, tables and panels are written in both formats, once they have their numbers.

local common = dofile(pandoc.path.join {pandoc.path.directory(PANDOC_SCRIPT_FILE), 'common.lua'})
local html, stop = common.html, common.stop
local raw_block, with_ends = common.raw_block, common.with_ends

local floats = {}

-- The caption as one paragraph, so that the opening and closing markup sit on its ends.
function floats.caption(blocks, prefix)
  local inlines = pandoc.Inlines {}
  if prefix then inlines:extend {pandoc.Strong {pandoc.Str(prefix)}} end
  local text = pandoc.utils.blocks_to_inlines(blocks)
  if prefix and #text > 0 then inlines:insert(pandoc.Space()) end
  inlines:extend(text)
  return inlines
end

local function on_page(identifier, kind, content, caption, classes)
  local blocks = pandoc.Blocks {}
  local attributes = identifier ~= '' and ' id="' .. identifier .. '"' or ''
  local names = table.concat({'float-' .. kind, table.unpack(classes or {})}, ' ')
  blocks:insert(raw_block('<figure' .. attributes .. ' class="' .. names .. '">'))
  local line = with_ends('<figcaption>', caption, '</figcaption>')
  if kind == 'tbl' and #caption > 0 then blocks:insert(line) end
  blocks:extend(content)
  if kind ~= 'tbl' and #caption > 0 then blocks:insert(line) end
  blocks:insert(raw_block('</figure>'))
  return blocks
end

-- The template decides where it goes: a figure that moves goes to the top or bottom of a page.
local function in_pdf(identifier, kind, content, caption, moves)
  local blocks = pandoc.Blocks {}
  local open = kind == 'tbl' and '#tabular(' or '#illustration(moves: ' .. tostring(moves) .. ', '
  open = open .. 'label: ' .. (identifier ~= '' and '<' .. identifier .. '>' or 'none')
  if #caption > 0 then
    blocks:insert(with_ends(open .. ', caption: [', caption, '])['))
  else
    blocks:insert(raw_block(open .. ')['))
  end
  blocks:extend(content)
  blocks:insert(raw_block(']'))
  return blocks
end

function floats.float(identifier, kind, content, caption, options)
  if html then return on_page(identifier, kind, content, caption, options.classes) end
  return in_pdf(identifier, kind, content, caption, options.moves)
end

-- A block that only shows images, such as the paragraph of a lone image.
local function only_images(block)
  if block.t ~= 'Para' and block.t ~= 'Plain' then return false end
  return block.content:find_if(function(inline)
    return inline.t ~= 'Image' and inline.t ~= 'Space' and inline.t ~= 'SoftBreak'
  end) == nil
end

-- Splits the content of a labelled div into what it shows and its last paragraph, the caption.
function floats.split_caption(blocks)
  local last = blocks[#blocks]
  if last and last.t == 'Para' and not only_images(last) then
    blocks:remove()
    return blocks, {last}
  end
  return blocks, {}
end

-- Content side by side; `walk` does to each piece what is done to all blocks.
function floats.grid(blocks, columns, walk)
  if not tonumber(columns) then
    stop('layout-ncol', 'layout-ncol wants a number of columns')
  end
  local items = pandoc.List {}
  for _, block in ipairs(blocks) do
    if only_images(block) then
      for _, inline in ipairs(block.content) do
        if inline.t == 'Image' then items:insert {pandoc.Plain {inline}} end
      end
    else
      items:insert {block}
    end
  end
  local result = pandoc.Blocks {}
  result:insert(raw_block(html and '<div class="panels" style="--columns: ' .. columns .. '">'
    or '#grid(columns: (1fr,) * ' .. columns .. ', column-gutter: 1.2em, row-gutter: 1em,'))
  for _, item in ipairs(items) do
    result:insert(raw_block(html and '<div>' or '['))
    result:extend(walk(item))
    result:insert(raw_block(html and '</div>' or '],'))
  end
  result:insert(raw_block(html and '</div>' or ')'))
  return result
end

-- Whether anything is left to see in this format: what only the page can show is dropped elsewhere.
function floats.shows_nothing(blocks)
  local seen = false
  pandoc.Blocks(blocks):walk {
    Block = function(block)
      seen = seen or block.t == 'Table' or block.t == 'CodeBlock' or block.t == 'HorizontalRule'
        or (block.t == 'RawBlock' and block.format:match(common.target) ~= nil)
    end,
    Inline = function(inline)
      seen = seen or (inline.t ~= 'RawInline' and inline.t ~= 'Space' and inline.t ~= 'SoftBreak')
    end,
  }
  return not seen
end

function floats.set_widths(blocks, text)
  local widths, sum = {}, 0
  for width in text:gmatch('[%d.]+') do
    widths[#widths + 1] = tonumber(width)
    sum = sum + tonumber(width)
  end
  return blocks:walk {Table = function(tbl)
    if #tbl.colspecs ~= #widths then
      stop('tbl-colwidths', #widths .. ' tbl-colwidths for ' .. #tbl.colspecs .. ' columns')
    end
    tbl.colspecs = tbl.colspecs:map(function(spec, index)
      return {spec[1], widths[index] / math.max(sum, 100)}
    end)
    return tbl
  end}
end

return floats
