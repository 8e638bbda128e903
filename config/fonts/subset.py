"""Writes the code points of the receipt font, one U+XXXX a line, for `pyftsubset --unicodes-file`.

Latin: ASCII, Latin-1, general punctuation, currency, letter-like signs, arrows, box drawing, blocks, shapes.
Chinese: all of GB 2312, the frequent half of Big5 (level 1: traditional forms), full-width forms.
"""

RANGES = [
    (0x20, 0x7E), (0xA0, 0xFF), (0x2010, 0x2027), (0x2030, 0x203B), (0x20A0, 0x20BF), (0x2100, 0x214F),
    (0x2150, 0x216B), (0x2190, 0x2199), (0x2500, 0x259F), (0x25A0, 0x25EF), (0x2605, 0x2606),
    (0x2713, 0x2717), (0x3000, 0x303F), (0xFF01, 0xFF5E), (0xFFE0, 0xFFE6),
]


def double_byte(codec, leads, trails):
    for lead in leads:
        for trail in trails:
            try:
                yield from map(ord, bytes((lead, trail)).decode(codec))
            except UnicodeDecodeError:
                pass


points = {point for first, last in RANGES for point in range(first, last + 1)}
points.update(double_byte("gb2312", range(0xA1, 0xF8), range(0xA1, 0xFF)))
points.update(double_byte("big5", range(0xA4, 0xC7), [*range(0x40, 0x7F), *range(0xA1, 0xFF)]))
for point in sorted(points):
    print(f"U+{point:04X}")
