//! Pages in Zstandard, which the parquet crate reads with a C library alone: it gives them as they lie there.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use parquet::file::reader::{ChunkReader, FileReader, RowGroupReader};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::record::reader::RowIter;
use parquet::schema::types::Type;

use super::super::packed::Frames;

/// Reader of a file whose pages may be in Zstandard.
pub(super) struct Reader<R> {
    contents: Arc<R>,
    metadata: ParquetMetaData,
}

impl<R: ChunkReader + 'static> Reader<R> {
    /// Reader of the file `contents`.
    ///
    /// # Errors
    /// When its description cannot be read.
    pub(super) fn new(contents: R) -> Result<Self> {
        Ok(Self {
            metadata: ParquetMetaDataReader::new().parse_and_finish(&contents)?,
            contents: Arc::new(contents),
        })
    }
}

impl<R: ChunkReader + 'static> FileReader for Reader<R> {
    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }

    fn num_row_groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    fn get_row_group(&self, i: usize) -> Result<Box<dyn RowGroupReader + '_>> {
        Ok(Box::new(Group {
            contents: self.contents.clone(),
            metadata: self.metadata.row_group(i),
        }))
    }

    fn get_row_iter(&self, projection: Option<Type>) -> Result<RowIter<'_>> {
        RowIter::from_file(projection, self)
    }
}

struct Group<'a, R> {
    contents: Arc<R>,
    metadata: &'a RowGroupMetaData,
}

impl<R: ChunkReader + 'static> RowGroupReader for Group<'_, R> {
    fn metadata(&self) -> &RowGroupMetaData {
        self.metadata
    }

    fn num_columns(&self) -> usize {
        self.metadata.num_columns()
    }

    fn get_column_page_reader(&self, i: usize) -> Result<Box<dyn PageReader>> {
        let column = self.metadata.column(i);
        let n_rows = usize::try_from(self.metadata.num_rows())?;
        let pages = |column: &ColumnChunkMetaData| {
            SerializedPageReader::new(self.contents.clone(), column, n_rows, None)
        };
        if !matches!(column.compression(), Compression::ZSTD(_)) {
            return Ok(Box::new(pages(column)?));
        }
        let as_they_lie = column.clone().into_builder();
        let as_they_lie = as_they_lie.set_compression(Compression::UNCOMPRESSED);
        Ok(Box::new(Unpacked {
            pages: pages(&as_they_lie.build()?)?,
            limit: u64::try_from(column.uncompressed_size())?,
        }))
    }

    fn get_column_bloom_filter(&self, _: usize) -> Option<&Sbbf> {
        None
    }

    fn get_row_iter(&self, projection: Option<Type>) -> Result<RowIter<'_>> {
        RowIter::from_row_group(projection, self)
    }
}

/// Reader of pages that unpacks them, of which none may become larger than all of its column is said to be.
struct Unpacked<P> {
    pages: P,
    limit: u64,
}

impl<P> Unpacked<P> {
    fn unpacked(&self, mut page: Page) -> Result<Page> {
        let (bytes, n_plain) = match &mut page {
            Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => (buf, 0),
            Page::DataPageV2 {
                is_compressed: false,
                ..
            } => return Ok(page),
            Page::DataPageV2 {
                buf,
                def_levels_byte_len: definitions,
                rep_levels_byte_len: repetitions,
                ..
            } => (buf, *definitions as usize + *repetitions as usize),
        };
        *bytes = unpacked(bytes, n_plain, self.limit)?;
        Ok(page)
    }
}

/// Bytes of a page of which those behind the first `n_plain` are frames.
fn unpacked(bytes: &Bytes, n_plain: usize, limit: u64) -> Result<Bytes> {
    let wrong = |reason: String| ParquetError::General(format!("a page in Zstandard {reason}"));
    let split = bytes.split_at_checked(n_plain);
    let (plain, packed) = split.ok_or_else(|| wrong(format!("has {} bytes", bytes.len())))?;
    let mut whole = plain.to_vec();
    let mut frames = Frames::new(packed).take(limit.saturating_add(1));
    let n = frames.read_to_end(&mut whole);
    let n = n.map_err(|error| wrong(format!("is damaged: {error}")))?;
    match n as u64 > limit {
        true => Err(wrong(format!(
            "holds more than the {limit} bytes of its column"
        ))),
        false => Ok(whole.into()),
    }
}

impl<P: PageReader> Iterator for Unpacked<P> {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Result<Page>> {
        self.get_next_page().transpose()
    }
}

impl<P: PageReader> PageReader for Unpacked<P> {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        page.map(|page| self.unpacked(page)).transpose()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }
}
