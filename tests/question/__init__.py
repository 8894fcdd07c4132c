"""The question that dibs grew from, asked in 2023 and still good: its application, the test that fails, and ways out.

The application is the question's. docs/testing/a-route-that-retries.md tells the story and quotes these files.
"""
