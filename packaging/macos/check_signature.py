"""Says whether every architecture of a Mach-O file is signed ad hoc with given entitlements.

    check_signature.py MACH-O-FILE ENTITLEMENTS

Checks what macOS checks when it starts a program: the hashes of the code directory against the file's
pages, and against the entitlements. Formats: Apple's <mach-o/fat.h>, <mach-o/loader.h> and
cs_blobs.h. Exit status 0 or 1.
"""

import hashlib
import pathlib
import plistlib
import struct
import sys

FAT_MAGIC = 0xCAFEBABE
MACHO_MAGIC = 0xFEEDFACF
LC_CODE_SIGNATURE = 0x1D
SUPER_BLOB = 0xFADE0CC0
CODE_DIRECTORY = 0xFADE0C02
ENTITLEMENTS = 0xFADE7171
SLOT_CODE_DIRECTORY, SLOT_ENTITLEMENTS = 0, 5
FLAG_ADHOC = 0x2
HASH_SHA256 = 2


def slices(data):
    """The Mach-O images in the file."""
    if struct.unpack_from(">I", data)[0] != FAT_MAGIC:
        return [data]
    count = struct.unpack_from(">I", data, 4)[0]
    images = []
    for index in range(count):
        _, _, offset, size, _ = struct.unpack_from(">5I", data, 8 + 20 * index)
        images.append(data[offset:offset + size])
    return images


def signature_place(image):
    """Offset and size of the code signature."""
    magic, _, _, _, commands, _, _, _ = struct.unpack_from("<8I", image)
    if magic != MACHO_MAGIC:
        raise ValueError("not a 64-bit Mach-O image")
    at = 32
    for _ in range(commands):
        command, size = struct.unpack_from("<2I", image, at)
        if command == LC_CODE_SIGNATURE:
            return struct.unpack_from("<2I", image, at + 8)
        at += size
    raise ValueError("not signed")


def blobs(signature):
    """The blobs of a signature by their slot."""
    magic, _, count = struct.unpack_from(">3I", signature)
    if magic != SUPER_BLOB:
        raise ValueError("not a code signature")
    found = {}
    for index in range(count):
        slot, offset = struct.unpack_from(">2I", signature, 12 + 8 * index)
        size = struct.unpack_from(">I", signature, offset + 4)[0]
        found[slot] = signature[offset:offset + size]
    return found


def check_image(image, wanted):
    offset, size = signature_place(image)
    found = blobs(image[offset:offset + size])
    directory = found[SLOT_CODE_DIRECTORY]
    (magic, _, _, flags, hashes, _, special, pages, limit) = struct.unpack_from(">9I", directory)
    hash_size, hash_type, _, page_shift = struct.unpack_from("4B", directory, 36)
    if magic != CODE_DIRECTORY or hash_type != HASH_SHA256 or not flags & FLAG_ADHOC:
        raise ValueError("not an ad-hoc signature with SHA-256")
    if limit != offset:
        raise ValueError("the signature does not cover all that comes before it")

    def stored(slot):
        return directory[hashes + slot * hash_size:hashes + (slot + 1) * hash_size]

    page_size = 1 << page_shift
    for page in range(pages):
        content = image[page * page_size:min((page + 1) * page_size, limit)]
        if hashlib.sha256(content).digest() != stored(page):
            raise ValueError(f"page {page} does not match its hash")
    blob = found.get(SLOT_ENTITLEMENTS)
    if blob is None or struct.unpack_from(">I", blob)[0] != ENTITLEMENTS:
        raise ValueError("no entitlements")
    if special < SLOT_ENTITLEMENTS or hashlib.sha256(blob).digest() != stored(-SLOT_ENTITLEMENTS):
        raise ValueError("the entitlements do not match their hash")
    if plistlib.loads(blob[8:]) != wanted:
        raise ValueError("other entitlements than wanted")


def main():
    file, entitlements = sys.argv[1:]
    wanted = plistlib.loads(pathlib.Path(entitlements).read_bytes())
    try:
        for image in slices(pathlib.Path(file).read_bytes()):
            check_image(image, wanted)
    except (ValueError, KeyError, struct.error) as error:
        sys.exit(f"{file}: {error}")


if __name__ == "__main__":
    main()
