"""The course's package: the assistant, the measuring tools, and one module a lesson."""
