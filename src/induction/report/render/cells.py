"""Running the report's cells in a fresh kernel, and writing what they give back as Markdown."""

import ast
import base64
import re
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from induction.report.render.source import Cell, Inline, Prose, Source

CELL_SECONDS = 900  # after this long, a cell is taken to hang

# Best first. A text/html view exists for web pages alone, so it comes after what works in both.
_IMAGES = {"image/svg+xml": "svg", "image/png": "png", "image/jpeg": "jpg"}
COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # of a terminal
# Of elements in raw HTML, and in Markdown's braces.
_IDENTIFIERS = re.compile(r"""(?:\bid=["']?|\{#)([A-Za-z][\w-]*)""")
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#$@~^|])")

Outputs = list[dict[str, Any]]


def run_cells(source: Source, environment: Mapping[str, str]) -> dict[int, Outputs]:
    """Run every cell and inline expression, in order, in one kernel of this interpreter.

    Returns the outputs by index in `source.pieces`. The working directory is the source's folder.
    Raises StudyError for the first cell that raises, hangs or ends the kernel.
    """
    runnable = [
        (index, piece)
        for index, piece in enumerate(source.pieces)
        if isinstance(piece, Inline)
        or (isinstance(piece, Cell) and piece.options.get("eval", True))
    ]
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(piece.code) for _, piece in runnable]
    if runnable:
        _execute(notebook, [piece for _, piece in runnable], source, environment)
    return {
        index: _whole_streams(cell.outputs)
        for (index, _), cell in zip(runnable, notebook.cells, strict=True)
    }


def _whole_streams(outputs: Outputs) -> Outputs:
    """Printed text that came in pieces, joined up to the next output of another kind.

    The kernel sends what is printed at moments of its own, so one table can come as two. nbclient's
    own joining (`coalesce_streams`) would also move text to before the figure that it follows.
    """
    whole: Outputs = []
    for output in outputs:
        last = whole[-1] if whole else {}
        if output["output_type"] == "stream" and output["name"] == last.get("name"):
            last["text"] += output["text"]
        else:
            whole.append(output)
    return whole


def _execute(
    notebook: nbformat.NotebookNode,
    pieces: Sequence[Cell | Inline],
    source: Source,
    environment: Mapping[str, str],
) -> None:
    started = 0

    def count(cell: Any, cell_index: int) -> None:
        nonlocal started
        started = cell_index

    with tempfile.TemporaryDirectory(prefix="induction-kernel-") as private:
        # Without folders to search, "python3" means ipykernel in this very interpreter, whatever
        # kernels are installed. Sockets in a private folder need no free ports.
        manager = AsyncKernelManager(
            kernel_name="python3",
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
            transport="ipc",
            ip=f"{private}/ipc",
            connection_file=f"{private}/kernel.json",
        )
        client = NotebookClient(
            notebook,
            km=manager,
            timeout=CELL_SECONDS,
            resources={"metadata": {"path": str(source.folder)}},
            extra_arguments=["--log-level=40", "--HistoryManager.enabled=False"],
            on_cell_execute=count,
        )
        try:
            # IPYTHONDIR keeps the user's startup files out of the report.
            client.execute(env={**environment, "IPYTHONDIR": private}, cleanup_kc=True)
        except CellExecutionError as error:
            raise _located(
                source, pieces[started], COLOURS.sub("", error.traceback), error
            ) from None
        except CellTimeoutError:
            message = f"still running after {CELL_SECONDS} s: compute it in a stage instead"
            raise source.fail(pieces[started].line, message) from None
        except DeadKernelError:
            message = "the kernel ended while this cell ran (out of memory, or interrupted)"
            raise source.fail(pieces[started].line, message) from None


def _located(
    source: Source, piece: Cell | Inline, traceback: str, error: CellExecutionError
) -> Exception:
    """The error of a cell with the line in the document where the cell raised it."""
    offset = re.search(r"Cell In\[\d+\], line (\d+)", traceback)
    line = piece.line + (int(offset[1]) - 1 if offset and isinstance(piece, Cell) else 0)
    name = f"cell {piece.label}: " if isinstance(piece, Cell) and piece.label else ""
    last = next((text for text in reversed(str(error.evalue).splitlines()) if text.strip()), "")
    return source.fail(line, f"{name}{error.ename}: {last.strip()}".rstrip(": "))


def to_markdown(source: Source, outputs: Mapping[int, Outputs], target: str, figures: Path) -> str:
    """The document as plain Markdown, with images written to `figures`.

    target: "html" or "typst" for pandoc and the filters here, "quarto" for Quarto, which makes
    both formats of one text and has its own way of writing figures and tables.
    Raises StudyError for a labelled figure or table that shows nothing or the wrong thing, and for
    what Quarto would lose without a word.
    """
    settings = source.settings("html" if target == "quarto" else target)
    labels = {piece.label for piece in source.pieces if isinstance(piece, Cell) and piece.label}
    parts = []
    for index, piece in enumerate(source.pieces):
        match piece:
            case Prose():
                parts.append(piece.text)
            case Inline():
                try:
                    parts.append(_inline(outputs[index]))
                except ValueError as error:
                    raise source.fail(piece.line, f"this inline code {error}") from None
            case Cell():
                name = piece.label or f"cell-{index}"
                view = _CellView(source, piece, settings, target, figures / name)
                parts.append(f"\n\n{view.markdown(outputs.get(index, []))}\n\n")
    text = "".join(parts)
    if taken := labels.intersection(_IDENTIFIERS.findall(text)) - _floats(labels):
        label = min(taken)
        message = f"#{label} is also the label of a cell, which Quarto gives to what the cell shows"
        raise source.fail(source.line_of(f"#{label}"), f"{message}: name one of them otherwise")
    return text


def _floats(labels: set[str]) -> set[str]:
    """Those labels that are identifiers of the figures and tables themselves."""
    return {label for label in labels if label.startswith(("fig-", "tbl-"))}


def _inline(outputs: Outputs) -> str:
    """The value of an inline expression: Markdown as it is, everything else literally.

    Raises ValueError, saying why, for a value that Quarto would show as something else.
    """
    data = next((item["data"] for item in outputs if item["output_type"] == "execute_result"), {})
    if "text/markdown" in data:
        text = data["text/markdown"]
    else:
        value = shown = data.get("text/plain", "")
        with suppress(ValueError, SyntaxError):
            value = ast.literal_eval(shown)
        if isinstance(value, str) and value != shown and "\\" in shown:
            raise ValueError(f"gives {shown}, with escapes that Quarto would show: use Markdown()")
        text = _MARKUP.sub(r"\\\1", value if isinstance(value, str) else shown)
    if not text:
        raise ValueError("gives nothing: Quarto would show the code itself")
    return text


class _CellView:
    """One cell as Markdown: its code where that is shown, and its outputs."""

    def __init__(
        self, source: Source, cell: Cell, settings: Mapping[str, Any], target: str, stem: Path
    ):
        self.source, self.cell, self.target, self.stem = source, cell, target, stem
        self.option = {**settings, **cell.options}
        self.kind = cell.label.partition("-")[0]
        self.floats = self.kind in ("fig", "tbl")
        self.n_images = 0

    def markdown(self, outputs: Outputs) -> str:
        if not self.option.get("include", True):
            return ""
        parts = [self._code()] if self.option.get("echo", True) is not False else []
        if self.option.get("output", True) is not False:
            shown = [text for output in outputs if (text := self._output(output))]
            if self.floats and self.option.get("eval", True):
                parts.append(self._float(shown))
            else:
                parts += shown
        return "\n\n".join(parts)

    def _code(self) -> str:
        block = _fence(self.cell.code, "{.python .cell-code}")
        if self.target == "typst" or not self.option.get("code-fold", False):
            return block
        summary = self.option.get("code-summary", "Code")
        is_open = " open" if self.option["code-fold"] == "show" else ""
        start = (
            f'```{{=html}}\n<details class="code-fold"{is_open}><summary>{summary}</summary>\n```'
        )
        return f"{start}\n\n{block}\n\n```{{=html}}\n</details>\n```"

    def _float(self, shown: list[str]) -> str:
        """A numbered figure or table: a div that the filter numbers, its caption last."""
        label, caption = self.cell.label, str(self.option[f"{self.kind}-cap"]).strip()
        if not shown:
            raise self._fail(f"cell {label} shows nothing: end it with plt.show() or a value")
        if self.target == "quarto" and len(shown) == 1 and not self.option.get("fig-subcap"):
            widths = self.cell.options.get("tbl-colwidths")
            # Under anything but a table, Quarto takes a caption for a definition.
            if self.kind == "tbl" and shown[0].lstrip().startswith("|"):
                widths = f' tbl-colwidths="{widths}"' if widths else ""
                return f"{shown[0]}\n\n: {' '.join(caption.split())} {{#{label}{widths}}}"
            if shown[0].startswith("![]("):
                return (
                    shown[0]
                    .replace("![]", f"![{' '.join(caption.split())}]", 1)
                    .replace("{fig-alt", f"{{#{label} fig-alt", 1)
                )
        if captions := self.option.get("fig-subcap"):
            if len(captions) != len(shown):
                raise self._fail(
                    f"cell {label}: {len(captions)} fig-subcap for {len(shown)} figures"
                )
            shown = [
                f"::: {{#{label}-{number}}}\n{text}\n\n{subcaption}\n:::"
                for number, (text, subcaption) in enumerate(zip(shown, captions, strict=True), 1)
            ]
        attributes = "".join(
            f' {key}="{self.option[key]}"'
            for key in ("layout-ncol", "tbl-colwidths")
            if key in self.cell.options
        )
        return "\n\n".join([f"::: {{#{label}{attributes}}}", *shown, caption, ":::"])

    def _output(self, output: dict[str, Any]) -> str:
        if output["output_type"] == "stream":
            text = COLOURS.sub("", output["text"])
            if output["name"] == "stderr":
                return _fence(text, "{.cell-output}") if self.option.get("warning", True) else ""
            return text if self.option.get("output") == "asis" else _fence(text, "{.cell-output}")
        data = output.get("data", {})
        if "text/markdown" in data:
            return data["text/markdown"]
        for mime, extension in _IMAGES.items():
            if mime in data:
                return self._image(data[mime], extension)
        if "text/html" in data and self.target != "typst":
            return _fence(data["text/html"], "{=html}")
        text = data.get("text/plain", "")
        if self.kind == "fig" and output["output_type"] == "execute_result":
            raise self._fail(f"cell {self.cell.label} ends in a text value: end it with plt.show()")
        return _fence(text, "{.cell-output}") if text else ""

    def _image(self, data: str, extension: str) -> str:
        self.n_images += 1
        path = Path(f"{self.stem}-{self.n_images}.{extension}")
        path.parent.mkdir(exist_ok=True)
        if extension == "svg":
            path.write_text(data, encoding="utf-8")
        else:
            path.write_bytes(base64.b64decode(data))
        alternatives = self.option.get("fig-alt", "")
        if isinstance(alternatives, list):
            alternatives = (
                alternatives[self.n_images - 1] if self.n_images <= len(alternatives) else ""
            )
        alternative = " ".join(str(alternatives).split()).replace("\\", "\\\\").replace('"', '\\"')
        caption = "" if self.floats else " ".join(str(self.option.get("fig-cap", "")).split())
        return f'![{caption}](<{path}>){{fig-alt="{alternative}"}}'

    def _fail(self, message: str) -> Exception:
        return self.source.fail(self.cell.line, message)


def _fence(text: str, attributes: str) -> str:
    """A fenced block whose fence is longer than any run of backticks in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{attributes}\n{text.rstrip()}\n{fence}"
