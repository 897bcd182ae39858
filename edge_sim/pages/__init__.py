"""What a report shows, as one page of values, and two readings of it: one HTML file, and Markdown for code hosts."""
