"""Text of documents, pages, books, subtitles and chats; tables of workbooks."""
