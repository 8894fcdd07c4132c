FROM python:3.13-slim AS build
WORKDIR /build
COPY requirements.txt ./
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY api api
COPY worker worker
COPY shared shared
COPY dibs dibs
RUN /venv/bin/pip install --no-cache-dir --no-deps .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --create-home dibs
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 DIBS_DATA_DIR=/home/dibs/data
USER dibs
WORKDIR /home/dibs
EXPOSE 8000
ENTRYPOINT ["dibs"]
CMD ["serve"]
