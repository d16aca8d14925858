//! Writes the grid as a picture, one pixel per cell: live is black, dead is white.
//!
//! The PNG is written here, without a crate: one bit per pixel and no compression is legal PNG and fifty lines, where
//! an encoder would bring eight crates into every build of the tests. A grid of 2560 x 2560 makes 820 KB.

use crate::grid::Size;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A file to be written, in the format that its name ends in.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    path: PathBuf,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Portable graymap, binary (`P5`): a line of header and a byte per pixel, which any script can read.
    Pgm,
    /// PNG with one bit per pixel.
    Png,
}

impl FromStr for Target {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Target, Self::Err> {
        let path = PathBuf::from(text);
        let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
        let format = match extension.as_deref() {
            Some("pgm") => Format::Pgm,
            Some("png") => Format::Png,
            _ => return Err("the name must end in .pgm or .png"),
        };
        Ok(Target { path, format })
    }
}

impl Target {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the words of a grid of this size.
    pub(crate) fn save(&self, size: Size, picture: &[u64]) -> io::Result<()> {
        let mut file = BufWriter::new(std::fs::File::create(&self.path)?);
        write(self.format, &mut file, size, picture)?;
        file.flush()
    }
}

/// Writes the words of a grid of this size to `out`.
pub(crate) fn write(format: Format, out: &mut impl Write, size: Size, picture: &[u64]) -> io::Result<()> {
    match format {
        Format::Pgm => write_pgm(out, size, picture),
        Format::Png => write_png(out, size, picture),
    }
}

fn write_pgm(out: &mut impl Write, size: Size, picture: &[u64]) -> io::Result<()> {
    write!(out, "P5\n{} {}\n255\n", size.width, size.height)?;
    for row in picture.chunks_exact(size.words()) {
        let live = |x: usize| row[x / 64] >> (x % 64) & 1 == 1;
        let pixels: Vec<u8> = (0..size.width).map(|x| if live(x) { 0 } else { 255 }).collect();
        out.write_all(&pixels)?;
    }
    Ok(())
}

fn write_png(out: &mut impl Write, size: Size, picture: &[u64]) -> io::Result<()> {
    // PNG has its leftmost pixel in the highest bit, 1 is white, and each row is padded to bytes and begins with the
    // number of its filter, 0 for none.
    let bytes = size.width.div_ceil(8);
    let mut pixels = Vec::with_capacity((bytes + 1) * size.height);
    for row in picture.chunks_exact(size.words()) {
        let row = row.iter().flat_map(|word| word.to_le_bytes()).take(bytes);
        pixels.push(0);
        pixels.extend(row.map(|byte| !byte.reverse_bits()));
    }
    // Both sides are at most Size::LONGEST. Behind them: 1 bit, grayscale, and the only kinds of compression, filters,
    // and order that are worth having here.
    let [width, height] = [size.width, size.height].map(|side| (side as u32).to_be_bytes());
    out.write_all(b"\x89PNG\r\n\x1a\n")?;
    write_chunk(out, b"IHDR", &[&width[..], &height, &[1, 0, 0, 0, 0]].concat())?;
    write_chunk(out, b"IDAT", &stored(&pixels))?;
    write_chunk(out, b"IEND", &[])
}

/// A chunk of a PNG: length, kind, content, and the CRC-32 of the kind and the content.
fn write_chunk(out: &mut impl Write, kind: &[u8; 4], content: &[u8]) -> io::Result<()> {
    let length = u32::try_from(content.len()).map_err(|_| io::Error::other("the picture is too large for a PNG"))?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(kind)?;
    out.write_all(content)?;
    let crc = !kind.iter().chain(content).fold(u32::MAX, |crc, &byte| CRC[usize::from(crc as u8 ^ byte)] ^ crc >> 8);
    out.write_all(&crc.to_be_bytes())
}

/// The CRC-32 of PNG (reversed polynomial 0xedb88320), by byte.
const CRC: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { 0xedb8_8320 ^ crc >> 1 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// A zlib stream (RFC 1950) of stored blocks (RFC 1951, 3.2.4). There is at least one row, so at least one block.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = bytes.chunks(usize::from(u16::MAX)).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    // Adler-32.
    let (low, high) = bytes.iter().fold((1, 0), |(low, high), &byte| {
        let low = (low + u32::from(byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    stream.extend((high << 16 | low).to_be_bytes());
    stream
}
