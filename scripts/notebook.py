"""Writes docs/notebook.ipynb: the cells below and their results, as a notebook shows them.

It needs a kernel in the environment of the package, which has the extras `series` and `plots`:

    pip install nbclient nbformat ipykernel
    python scripts/notebook.py

Training is cut by time, so that figures differ a little from one machine to the next.
"""

import tempfile
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "notebook.ipynb"
TEXT, CODE = "markdown", "code"
CELLS = (
    (
        TEXT,
        "# rhapsode in a notebook\n\nThe last line of a cell is shown as a table or a picture; "
        "`print` shows the same as text. [Python](python.md) describes the functions.",
    ),
    (
        CODE,
        "import rhapsode as rh\n\n"
        'run = rh.train("python-docs", output="docs-run", budget="40s", seed=1)\n'
        "run",
    ),
    (TEXT, "The losses of each evaluation, which the picture shows, are lists:"),
    (CODE, "print(run.history)"),
    (TEXT, "## Metrics\n\nThe test split was not used in training."),
    (CODE, 'metrics = rh.evaluate(run, split="test")\nmetrics'),
    (CODE, "metrics.loss, metrics.perplexity, metrics.bits_per_character"),
    (TEXT, "## Text\n\nThe likeliest next elements after two prompts, at two temperatures:"),
    (CODE, 'rh.next(run, "If a cla", "the value of", top=6, temperatures=[0.5, 1.0])'),
    (TEXT, "The elements of a text and their ids. Those that are not in the vocabulary are red:"),
    (CODE, 'rh.encode(run, "It costs 5 €.")'),
    (TEXT, "A continuation is a `str` with a seed, so that it can be repeated:"),
    (CODE, 'text = run.generate("If a class ", length=200, temperature=0.7, seed=1)\ntext'),
    (CODE, "text.seed, text.finish_reason, text.elements[:5]"),
    (TEXT, "## Forecasts\n\nA model of a monthly series, and the quantiles of the next year:"),
    (
        CODE,
        'airline = rh.train("airline", output="airline-run", budget="15s", seed=1)\n'
        'forecast = rh.forecast(airline, horizon=12, plot="airline.svg", seed=1)\n'
        "forecast",
    ),
    (CODE, 'from IPython.display import SVG\n\nSVG("airline.svg")'),
    (TEXT, "## Surveys\n\n`describe` reads a source as training would, and trains nothing:"),
    (CODE, 'rh.describe("python-docs")'),
)


def main() -> None:
    """Run the cells in an empty folder, and write the notebook."""
    import nbformat
    from nbclient import NotebookClient

    form = nbformat.v4
    new_cell = {TEXT: form.new_markdown_cell, CODE: form.new_code_cell}
    cells = [new_cell[kind](source) for kind, source in CELLS]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"  # not by chance: the same cells give the same ids
    notebook = form.new_notebook(cells=cells)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook, timeout=600, record_timing=False, resources={"metadata": {"path": folder}}
        ).execute()
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.write(notebook, PAGE)
    print(PAGE)


if __name__ == "__main__":
    main()
