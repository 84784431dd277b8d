"""Captions on the terminal, word by word."""

from components.caption_report.read import CaptionResult
from components.caption_report.text import result_lines
from components.images.signature import why_not_read
from tests.components.caption_report.results import row, write_result


def lines(folder, rows, dead=(), **options):
    return list(result_lines(CaptionResult(write_result(folder / "r", rows, dead)), **options))


def test_an_image_and_its_three_best_captions(tmp_path):
    texts = ("a cat wearing a hat", "a dog.", "is it a cat?", "a bird")
    assert lines(tmp_path, [row("/p/cat.png", *texts, best=0.43)]) == [
        "Image: cat.png",
        "Top 3 captions ranked by CLIP:",
        "1: a cat wearing a hat. (Caption probability: 0.43)",
        "2: a dog. (Caption probability: 0.19)",
        "3: is it a cat? (Caption probability: 0.19)",
        "",
    ]


def test_the_number_is_the_real_one_and_the_ranker_is_named(tmp_path):
    rows = [row("/p/1.png", "a cat", "a dog"), row("/p/2.png", "a cat", variant="challenger")]
    printed = lines(tmp_path, rows, ranker="SigLIP")
    assert printed[1] == "Top 2 captions ranked by SigLIP:"
    assert printed[5:7] == ["Image: 2.png [challenger]", "Top 1 caption ranked by SigLIP:"]


def test_beyond_the_limit_it_says_how_many_and_where(tmp_path):
    rows = [row(f"/p/{i}.png", "a cat") for i in range(13)]
    dead = [(f"/p/b{i}.png", "read", "the file is empty") for i in range(11)]
    printed = lines(tmp_path, rows, dead)
    assert sum(line.startswith("Image: ") for line in printed) == 20
    assert "3 more images captioned: captions.html" in printed
    assert "1 more image failed: captions.html" in printed
    assert "No captions, failed in read: the file is empty" in printed


def test_what_is_no_image_comes_last(tmp_path):
    dead = [(f"/p/{i}.dat", "read", why_not_read(b"junk")) for i in range(10)]
    dead.append(("/p/cut.jpg", "read", "damaged: it ends too early"))
    printed = lines(tmp_path, [], dead)
    titles = [line for line in printed if line.startswith("Image: ")]
    assert titles == ["Image: cut.jpg", *(f"Image: {i}.dat" for i in range(9))]


def test_all_is_all(tmp_path):
    printed = lines(tmp_path, [row(f"/p/{i}.png", "a cat") for i in range(13)], limit=None)
    assert [line for line in printed if "Image" in line] == [f"Image: {i}.png" for i in range(13)]
    assert not any("more" in line for line in printed)


def test_names_of_the_same_files_differ_by_their_folders(tmp_path):
    printed = lines(tmp_path, [row("/p/a/1.png", "a cat"), row("/p/b/1.png", "a cat")])
    assert [line for line in printed if "Image" in line] == ["Image: a/1.png", "Image: b/1.png"]


def test_nothing_from_outside_reaches_the_terminal_raw(tmp_path):
    hostile = "\x1b]0;owned\x07\x9b2J\r\u202e\n"
    rows = [row(f"/p/{hostile}.png", hostile, variant=hostile)]
    dead = [(f"/p/{hostile}", hostile, hostile)]
    printed = "".join(lines(tmp_path, rows, dead))
    assert printed.isprintable()
    assert r"Image: \x1b]0;owned\x07\x9b2J\r\u202e\n.png" in printed


def test_a_caption_that_was_cut_off_has_dots_for_its_end(tmp_path):
    cut = row("/p/1.png", "a cat wearing a")
    cut["captions"][0]["is_cut"] = True
    assert lines(tmp_path, [cut])[2].startswith("1: a cat wearing a ... (Caption")
