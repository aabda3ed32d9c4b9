"""Reads the built documentation as a reader's browser does: links within it lead somewhere, and no markup is
left over in the text. `python3 .ci/docs.py target/doc redspan` after `cargo doc`."""

import pathlib
import re
import sys
from html import unescape
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag

# What markdown that was not understood looks like: "[`name`]", "[text](…)", "**word".
LEFT_OVER = re.compile(r"\[`|`\]|\]\(|\]\[|\*\*")


# Items of other crates under our name; their links need those crates' documentation beside ours.
FOREIGN = {"struct.Level.html", "struct.SpanContext.html", "struct.KeyValue.html"}

# From here on other crates speak: what they implement for every type.
OTHERS = re.compile(r'<h2 id="(?:trait-|synthetic-|blanket-|deref-)')


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.anchors = {unescape(it) for it in re.findall(r'\bid="([^"]*)"', text)}
        self.links, self.left_over = [], []
        self.code = 0
        self.feed(OTHERS.split(text)[0])

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        if tag in ("pre", "code", "script", "style"):
            self.code += 1
            # In text it would read "[" + code + "]".
            if tag == "code" and self.text_before.endswith("["):
                self.left_over.append(self.text_before[-40:] + "`…`")

    def handle_endtag(self, tag):
        if tag in ("pre", "code", "script", "style"):
            self.code -= 1

    text_before = ""

    def handle_data(self, text):
        self.text_before = text
        found = LEFT_OVER.search(text) if self.code == 0 else None
        if found:
            self.left_over.append(text[max(0, found.start() - 20) : found.end() + 40].strip())


def main(root, crates):
    root = pathlib.Path(root).resolve()
    pages, wrong = {}, []

    def page(path):
        if path not in pages:
            pages[path] = Page(path.read_text(errors="replace"))
        return pages[path]

    looked_at = [path for crate in crates for path in sorted((root / crate).rglob("*.html"))]
    looked_at = [path for path in looked_at if path.name not in FOREIGN]
    for path in looked_at:
        name = path.relative_to(root)
        wrong += [f"{name}: left over: {text}" for text in page(path).left_over]
        for link in page(path).links:
            target, anchor = urldefrag(link)
            if re.match(r"[a-z]+:", target):
                if "docs.rs/redspan" in target:
                    wrong.append(f"{name}: {link} is not published")
                continue
            to = (path.parent / unquote(target)).resolve() if target else path
            if root in to.parents and (root / "src") not in to.parents:
                if not to.is_file():
                    wrong.append(f"{name}: no page {link}")
                elif anchor and not re.match(r"\d|impl-|deref-", anchor) and unquote(anchor) not in page(to).anchors:
                    wrong.append(f"{name}: no place {link}")
    print("\n".join(sorted(set(wrong))))
    print(f"{len(looked_at)} pages, {len(set(wrong))} mistakes")
    sys.exit(bool(wrong) or not looked_at)


main(sys.argv[1], sys.argv[2:])
