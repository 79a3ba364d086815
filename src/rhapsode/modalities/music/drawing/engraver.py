"""Program that engraves MusicXML, in a process of its own.

The library can abort the process. The program is run by its path and imports nothing else of the
package. Its argument is a folder with `score.musicxml` and `options.json`, into which it writes
`page-1.svg` and so on.
"""

import json
import sys
from pathlib import Path


def main(folder: Path) -> int:
    """Engrave the score of a folder; 1 where it is not understood."""
    import verovio

    verovio.enableLog(verovio.LOG_OFF)
    toolkit = verovio.toolkit()
    toolkit.setOptions(json.loads((folder / "options.json").read_text(encoding="utf-8")))
    if not toolkit.loadData((folder / "score.musicxml").read_text(encoding="utf-8")):
        return 1
    for number in range(1, toolkit.getPageCount() + 1):
        page = toolkit.renderToSVG(number)
        (folder / f"page-{number}.svg").write_text(page, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
